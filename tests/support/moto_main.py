"""moto's server, started by `tests.support.aws` in a process of its own, with a thing that AWS does and moto lacks.

AWS finds the instance of an attached volume by itself; plugins rely on that. moto needs it to be named.
"""

from __future__ import annotations

import sys
from typing import Any, Optional

from moto.ec2.models.elastic_block_store import EBSBackend
from moto.server import main

_detach = EBSBackend.detach_volume


def detach_volume(self: Any, volume_id: str, instance_id: Optional[str], device_path: str) -> Any:
    """Detach a volume from the instance that is named, else from the one that has it."""
    attachment = self.get_volume(volume_id).attachment
    if instance_id is None and attachment is not None:
        instance_id = attachment.instance.id
    return _detach(self, volume_id, instance_id, device_path)


if __name__ == "__main__":
    EBSBackend.detach_volume = detach_volume
    main(sys.argv[1:])
