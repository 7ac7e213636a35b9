"""The contract: what every export worker of Amber must obey, seen from outside.

Each law is a test with a name. They know HTTP, D1 and R2, and nothing of who answers:

    amber contract
    amber contract --emulator-target workerd
    amber contract --emulator-target workerd --worker-script worker.mjs
    amber contract --emulator-target https://amber.example --auth-header 'Bearer ...'
    pytest --pyargs amber_worker.contract --emulator-target workerd

A worker on the emulator or on workerd gets files of the contract's own. A deployed worker
gets one export by the user whose credentials are given: give it an account of its own. Laws
that would have to write into its D1 or R2 are not applicable there.

Where Amber's README and its worker differ, both are accepted, and the report tells which
dialect the worker speaks. `--contract-report FILE.md` writes every law: kept, broken with the
evidence, or not applicable with the reason.

Rooms: `entry` (what every pytest loads), `options` (the command line), `target` (who is
judged), `auth_stubs` (who is signed in), `seeds` (files), `world` (one running worker),
`user` (who asks, and exports), `archive` (a ZIP that is not believed), `report`, and the laws
in `test_*.py`.
"""

from __future__ import annotations
