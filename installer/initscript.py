"""The script that a cloud hands to a new machine (cloud-init's user data): fetches the host program and lets it work.

Whoever is on the machine can read user data for as long as the machine lives. So it holds no password: only a token,
good for one agent, for a limited time, and of no use once that agent has reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outrider.installer.bundle.targets import PYTHONS
from outrider.installer.onhost.bootstrap import PATIENCE_SECONDS
from outrider.installer.ssh.session import CANDIDATES

#: How long a machine may take from the making of the script to its first boot's end.
TOKEN_SECONDS = 6 * 3600.0

_TEMPLATE = """\
#!/bin/sh
# Installs the Outrider agent {agent_id} on this machine, which needs Python {oldest} to {newest} and nothing else.
# The token below is good for this agent only, and for {hours:g} hours.
set -u
umask 077
python=
for name in {names}; do
    path=$(command -v "$name" 2>/dev/null) || continue
    "$path" -I -c 'import sys; sys.exit(not {range})' 2>/dev/null || continue
    python=$path
    break
done
if [ -z "$python" ]; then
    echo "outrider: the agent needs Python {oldest} to {newest}, and there is none on this machine" >&2
    exit 1
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cat > "$folder/request.json" <<'OUTRIDER_END'
{request}
OUTRIDER_END
cat > "$folder/fetch.py" <<'OUTRIDER_END'
import hashlib, json, ssl, sys, time, urllib.request
folder = sys.argv[1]
request = json.load(open(folder + "/request.json"))
url, sha256 = request["url"] + "/" + request["program"], request["program"]
context = ssl.create_default_context(cadata=request["ca_pem"]) if request["ca_pem"] else None
deadline = time.monotonic() + request["patience_seconds"]
while True:
    try:
        asked = urllib.request.Request(url, headers={{"Authorization": "Bearer " + request["token"]}})
        data = urllib.request.urlopen(asked, timeout=60, context=context).read()
        break
    except OSError as error:
        print("outrider: %s: %s" % (url, error), file=sys.stderr)
        if time.monotonic() > deadline or getattr(error, "code", None) in (401, 403, 404):
            sys.exit("outrider: the agent's program cannot be fetched")
        time.sleep(5)
if hashlib.sha256(data).hexdigest() != sha256:
    sys.exit("outrider: %s delivered something else than was asked for" % url)
open(folder + "/host.pyz", "wb").write(data)
OUTRIDER_END
"$python" -I "$folder/fetch.py" "$folder" || exit 1
"$python" -I "$folder/host.pyz" bootstrap < "$folder/request.json" | tee "$folder/answer"
grep -q '"ok": true' "$folder/answer"
"""


def init_script(agent_id: str, *, url: str, token: str, ca_pem: str | None, program: str) -> str:
    """Return the user data; `url` and `token` are those of the dispatcher's files, `program` is a file's hash there."""
    request: Mapping[str, Any] = {
        "url": url.rstrip("/"),
        "token": token,
        "ca_pem": ca_pem,
        "program": program,
        "patience_seconds": PATIENCE_SECONDS,
    }
    oldest, newest = (tuple(int(part) for part in version.split(".")) for version in (PYTHONS[0], PYTHONS[-1]))
    return _TEMPLATE.format(
        agent_id=agent_id,
        oldest=PYTHONS[0],
        newest=PYTHONS[-1],
        hours=TOKEN_SECONDS / 3600,
        names=" ".join(CANDIDATES),
        range=f"{oldest} <= sys.version_info[:2] <= {newest}",
        request=json.dumps(request),
    )
