"""Selection: which files an export takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amber_worker.contract.seeds import SeededFile, garden, noise

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import User
    from amber_worker.contract.world import World

#: A category that is asked for, and ones beside it that a sloppy query would take too.
CATEGORIES = [
    ("mail", ["mails", "Mail", "MAIL", "mail ", " mail", "e-mail"]),
    ("%", ["mail", "%%", ""]),
    ("50%_off", ["50 and off", "50%-off", "50%1off"]),
    ("_", ["a", "__"]),
    ('it\'s "quoted"', ['it"s', "its quoted"]),
    ("' OR '1'='1", ["mail", "1"]),
    ("grün ☘", ["grun ☘", "grün"]),
    ("*", ["mail", "**"]),
]
#: The usual forms, of somebody else, and forms that nobody would think of.
KEYS = [
    "somebody/blog/posts/usual.txt", "grove-storage/somebody/ivy/attachments/3f2c.txt",
    "8c1d9e", "trash/somebody//..//themes/x.css", "exports/somebody/1-export.zip",
    "ünïcode ☘/?#%25&=+",
]  # fmt: skip


async def test_a_full_export_takes_every_product(user: User, storage: Storage) -> None:
    export = await user.export_of(*garden())
    await export.compare()
    assert {file.product for file in garden()} == {"blog", "ivy", "profile", "themes"}


@pytest.mark.parametrize("product", ["blog", "ivy"])
async def test_an_export_of_a_product_takes_that_product_alone(
    user: User, storage: Storage, product: str
) -> None:
    files = await user.add(*garden())
    export = await user.export(product)
    await export.compare([file for file in files if file.product == product])


@pytest.mark.parametrize("product", ["blog", "ivy"])
async def test_an_export_of_a_product_ignores_filters(
    user: User, storage: Storage, product: str
) -> None:
    files = await user.add(*garden())
    export = await user.export(product, filters={"category": "avatar"})
    await export.compare([file for file in files if file.product == product])


async def test_an_export_of_a_category_takes_it_in_every_product(
    user: User, storage: Storage
) -> None:
    wanted = [
        SeededFile("a.txt", noise(product, 40), product, "drafts")
        for product in ("blog", "ivy", "profile", "themes")
    ]
    files = await user.add(*wanted, SeededFile("b.txt", b"other", "blog", "posts"))
    export = await user.export("category", filters={"category": "drafts"})
    await export.compare(files[:4])


@pytest.mark.parametrize(("category", "others"), CATEGORIES, ids=[c for c, _ in CATEGORIES])
async def test_a_category_is_taken_by_its_exact_name(
    user: User, storage: Storage, category: str, others: list[str]
) -> None:
    files = [SeededFile("wanted.txt", noise(category, 40), "ivy", category)]
    files += [
        SeededFile(f"{number}.txt", noise(f"other {number}", 40), "ivy", other)
        for number, other in enumerate(others)
    ]
    seeded = await user.add(*files)
    export = await user.export("category", filters={"category": category})
    archive = await export.archive()
    archive.compare_contents(seeded[:1])


async def test_an_export_of_a_category_that_nobody_has_is_empty(
    user: User, storage: Storage
) -> None:
    await user.add(*garden())
    export = await user.export("category", filters={"category": "no such category"})
    if export.has_archive:
        await export.compare([])


async def test_a_file_in_the_trash_is_left_out(user: User, storage: Storage) -> None:
    kept, trashed = SeededFile("kept.txt", b"kept"), SeededFile("trashed.txt", b"trashed")
    files = await user.add(kept, trashed)
    await storage.trash(files[1:])
    await (await user.export()).compare(files[:1])


async def test_a_file_that_is_restored_is_taken(user: User, storage: Storage) -> None:
    files = await user.add(SeededFile("a.txt", b"a"), SeededFile("b.txt", b"b"))
    await storage.trash(files)
    await storage.execute(
        "UPDATE storage_files SET deleted_at = NULL WHERE user_id = ?", user.id
    )
    await (await user.export()).compare(files)


async def test_another_users_files_are_left_out(
    user: User, stranger: User, storage: Storage
) -> None:
    files = await user.add(SeededFile("mine.txt", b"mine"))
    await stranger.add(
        SeededFile("theirs.txt", b"theirs"),
        # What lies below the user's own folder may still belong to somebody else.
        SeededFile("odd.txt", b"odd", key=f"{user.id}/blog/posts/odd.txt"),
    )
    await (await user.export()).compare(files)


@pytest.mark.parametrize("key", KEYS)
async def test_nothing_is_read_from_the_form_of_a_key(
    world: World, storage: Storage, key: str
) -> None:
    files = {k: SeededFile("me.svg", b"<svg/>", "profile", "avatar", key=k) for k in KEYS}
    await (await world.export_of_each(files, key)).compare()


async def test_three_exports_at_one_time_do_not_mix(
    user: User, stranger: User, storage: Storage
) -> None:
    users = [user, stranger, await user.world.user()]
    seeded = [
        await asker.add(*(
            SeededFile(f"{number}.txt", noise(f"{place} {number}", 300)) for number in range(5)
        ))
        for place, asker in enumerate(users)
    ]  # fmt: skip
    exports = [await asker.begin() for asker in users]
    for export, files in zip(exports, seeded, strict=True):
        await (await export.complete()).compare(files)
