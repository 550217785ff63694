"""Which operations show no personal data. Everything else is logged: a new route needs no line here to be in the log.

An operation is named by its `operation_id`, or by the name of its function where it is not in the OpenAPI document.
`tests/unit/test_access_log.py` walks every route and every command of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Nothing about a person is in their answers.
NOT_PERSONAL: Final[Mapping[str, str]] = {
    "openapi": "a document of the program",
    "asyncapi_document": "a document of the program",
    "alive": "whether the process lives",
    "ready": "whether its engines answer",
    "metrics": "counts",
    "showSession": "who asks, told to who asks",
    "showStatus": "counts, and names of departments and services",
}

# Departments are systems: what they send is in the ledger under their name, and they read nothing but their verdicts.
OF_SYSTEMS: Final[Mapping[str, str]] = {
    "publishEvents": "the event itself is the record",
    "findVerdict": "position and hash of what the department itself sent",
}

# Pages that also answer who is not signed in, with the form to do so.
OPEN: Final[Mapping[str, str]] = {
    "show": "the form to sign in",
    "show_page": "the form to sign in",
    "show_all_accesses": "the form to sign in",
    "show_accesses": "the form to sign in",
    "show_person_accesses": "the form to sign in",
    "sign_in": "whether a token works",
    "sign_out": "nothing",
    "sign_in_elsewhere": "an address of the institution's provider",
    "return_from_elsewhere": "whether the provider's answer can be believed",
}

# A header in which a program says on whose behalf it asks.
ACTING_FOR: Final = "Relatieboek-Acting-For"

# Query keys that say which page it is, which part of a list, and of when: with these alone it is no search.
NO_FILTERS: Final = frozenset(
    {"cursor", "limit", "asOf", "knownAt", "withAsOf", "withKnownAt", "view", "older", "newer", "plan", "question",
     "relation", "alert", "taal"}
)  # fmt: skip
