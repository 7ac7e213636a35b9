"""Errors: the texts and codes with which R2 refuses.

Promises: each code has one text, worded as the platform words it, in the form
`<method>: <text> (<code>)`; the number exists only inside the text, as on the platform.
Leaves to others: when to raise them. Texts without a number come from workerd's r2-bucket.c++
and r2-multipart.c++, and stand where they are raised.
"""

from __future__ import annotations

from typing import Final

from emulator.errors import JsException, js_error

__all__ = [
    "BAD_DIGEST",
    "INTERNAL_ERROR",
    "INVALID_MAX_KEYS",
    "INVALID_OBJECT_NAME",
    "INVALID_PART",
    "INVALID_RANGE",
    "METADATA_TOO_LARGE",
    "MULTIPART_PROBLEM",
    "NO_SUCH_UPLOAD",
    "OBJECT_TOO_LARGE",
    "OBJECT_TOO_SMALL",
    "RATE_LIMITED",
    "UNSPECIFIED",
    "element_type_error",
    "option_type_error",
    "parameter_type_error",
    "r2_error",
]

UNSPECIFIED: Final = 0
INTERNAL_ERROR: Final = 10001
OBJECT_TOO_SMALL: Final = 10011
METADATA_TOO_LARGE: Final = 10012
INVALID_OBJECT_NAME: Final = 10020
INVALID_MAX_KEYS: Final = 10022
NO_SUCH_UPLOAD: Final = 10024
INVALID_PART: Final = 10025
BAD_DIGEST: Final = 10037
INVALID_RANGE: Final = 10039
MULTIPART_PROBLEM: Final = 10048
RATE_LIMITED: Final = 10058
OBJECT_TOO_LARGE: Final = 100100

# Miniflare's r2/errors.worker.ts and Cloudflare docs, R2, Error codes.
_TEXTS: Final = {
    UNSPECIFIED: "Unspecified error",
    INTERNAL_ERROR: "We encountered an internal error. Please try again.",
    OBJECT_TOO_SMALL: "Your proposed upload is smaller than the minimum allowed object size.",
    METADATA_TOO_LARGE: "Your metadata headers exceed the maximum allowed metadata size.",
    INVALID_OBJECT_NAME: "The specified object name is not valid.",
    INVALID_MAX_KEYS: "MaxKeys params must be positive integer <= 1000.",
    NO_SUCH_UPLOAD: "The specified multipart upload does not exist.",
    INVALID_PART: "One or more of the specified parts could not be found.",
    INVALID_RANGE: "The requested range is not satisfiable",  # Without a full stop.
    MULTIPART_PROBLEM: "There was a problem with the multipart upload.",
    RATE_LIMITED: "Reduce your concurrent request rate for the same object.",
    OBJECT_TOO_LARGE: "Your proposed upload exceeds the maximum allowed object size.",
}


def r2_error(method: str, code: int, text: str | None = None) -> JsException:
    """The error by which R2 refuses an operation.

    Args:
        method: The method's word in the text, such as "put" or "completeMultipartUpload".
        code: R2's number.
        text: Replaces the text that belongs to the code.
    """
    return JsException(f"{method}: {_TEXTS[code] if text is None else text} ({code})")


def parameter_type_error(
    method: str, position: int, kind: str, *, on: str = "R2Bucket"
) -> JsException:
    """The TypeError for an argument of the wrong type (workerd's jsg, web-idl.h).

    Args:
        method: The method that was called.
        position: The argument's place, from 1.
        kind: The type that was wanted, such as "string".
        on: The class of the method.
    """
    text = (
        f"Failed to execute '{method}' on '{on}': parameter {position} is not of type '{kind}'."
    )
    return js_error("TypeError", text)


def element_type_error(index: int, kind: str) -> JsException:
    """The TypeError for an element of the wrong type in an array."""
    text = (
        f"Incorrect type for array element {index}: the provided value is not of type '{kind}'."
    )
    return js_error("TypeError", text)


def option_type_error(field: str, struct: str, kind: str) -> JsException:
    """The TypeError for a member of an options object of the wrong type.

    Args:
        field: The member.
        struct: The options' name, such as "PutOptions".
        kind: The type that was wanted.
    """
    text = (
        f"Incorrect type for the '{field}' field on '{struct}': "
        f"the provided value is not of type '{kind}'."
    )
    return js_error("TypeError", text)
