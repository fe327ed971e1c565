"""The values of secrets: encrypted in the database, with the key outside of it.

The command line and the manager set and list them; the engine redeems them for a running attempt, and only then does a
value exist outside of this package. What stands in inputs is a reference (`dispatcher.blueprint.functions.markers`).
"""

from outrider.dispatcher.secrets.errors import (
    KeyMissing,
    NotRedeemable,
    SecretError,
    SecretExists,
    SecretMissing,
    SecretUnreadable,
)
from outrider.dispatcher.secrets.keyring import KeyRing
from outrider.dispatcher.secrets.redeem import redeem_secrets, redeemable
from outrider.dispatcher.secrets.secret import Secret, SecretInfo, Visibility
from outrider.dispatcher.secrets.store import SecretStore
from outrider.dispatcher.secrets.table import DatabaseTable, SecretRow, SecretTable

__all__ = [
    "DatabaseTable",
    "KeyMissing",
    "KeyRing",
    "NotRedeemable",
    "Secret",
    "SecretError",
    "SecretExists",
    "SecretInfo",
    "SecretMissing",
    "SecretRow",
    "SecretStore",
    "SecretTable",
    "SecretUnreadable",
    "Visibility",
    "redeem_secrets",
    "redeemable",
]
