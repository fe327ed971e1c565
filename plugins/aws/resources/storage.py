"""Rows: S3 bucket, bucket policy, bucket lifecycle, object."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Optional, Union

from outrider.plugins.aws.errors import RequestRefused
from outrider.plugins.aws.ownership import tags
from outrider.plugins.aws.resources import types
from outrider.plugins.aws.row import Call, Description, Fill, Read, Row, Tagging
from outrider.plugins.sdk import RecoverableError, ctx

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

#: The region whose buckets have no location constraint.
HOME_REGION = "us-east-1"
FETCH_SECONDS = 60.0
IN_BUCKET = (Fill("Bucket", (types.BUCKET,)),)
_NO_BUCKET = ("404", "NoSuchBucket", "NotFound")


def prepare_bucket(work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """Name the region where S3 wants it named."""
    place = dict(config.get("CreateBucketConfiguration") or {})
    if place.get("LocationConstraint") == HOME_REGION:
        del place["LocationConstraint"]
    elif not place and work.connection.region not in {"", HOME_REGION}:
        place["LocationConstraint"] = work.connection.region
    return {**{key: value for key, value in config.items() if key != "CreateBucketConfiguration"}, **(
        {"CreateBucketConfiguration": place} if place else {}
    )}  # fmt: skip


def look_for_bucket(work: Work) -> Optional[Description]:
    """Return the bucket with its tags."""
    name = work.values()["id"]
    if not name or work.call("head_bucket", {"Bucket": name}, absent=_NO_BUCKET) is None:
        return None
    tagging = work.call("get_bucket_tagging", {"Bucket": name}, absent=("NoSuchTagSet", *_NO_BUCKET))
    return {"Bucket": name, "Arn": f"arn:aws:s3:::{name}", "Tags": (tagging or {}).get("TagSet") or []}


def tag_bucket(work: Work, _description: Description) -> None:
    """Tag a new bucket; S3's create call takes no tags."""
    work.call("put_bucket_tagging", {"Bucket": work.config["Bucket"], "Tagging": {"TagSet": tags(work)}})


def prepare_policy(_work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """S3 takes the policy as a text."""
    policy = config.get("Policy")
    return {**config, "Policy": policy if isinstance(policy, str) else json.dumps(policy)}


def put_object(work: Work, config: dict[str, Any]) -> Description:
    """Upload the object: the blueprint's bytes, a resource of the blueprint, or what a URL gives."""
    with _body(work, config) as body:
        return work.call("put_object", {**config, "Body": body}) or {}


@contextmanager
def _body(work: Work, config: dict[str, Any]) -> Iterator[Union[bytes, IO[bytes]]]:
    source, path = work.properties.get("source_type") or "local", work.properties.get("path")
    if source == "bytes":
        body = config.get("Body") or b""
        yield body.encode() if isinstance(body, str) else body
    elif not path:
        raise RequestRefused(
            f"{work}: set the property path, or source_type: bytes and resource_config.kwargs.Body", code=""
        )
    elif source == "local":
        with Path(ctx.download_resource(str(path))).open("rb") as file:
            yield file
    else:
        with tempfile.TemporaryFile() as copy:
            _fetch(str(path), copy)
            yield copy


def _fetch(url: str, copy: IO[bytes]) -> None:
    if not url.startswith(("http://", "https://")):
        raise RequestRefused(f"{url} is no http or https URL", code="")
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # noqa: S310 - checked above
            shutil.copyfileobj(answer, copy)
    except OSError as error:
        raise RecoverableError(f"{url} cannot be fetched: {error}") from error
    copy.seek(0)


ROWS = (
    Row(
        type_name=types.BUCKET,
        noun="bucket",
        service="s3",
        create=Call("create_bucket"),
        read=None,
        delete=Call("delete_bucket", {"Bucket": "$id"}),
        named_by="Bucket",
        arn="Arn",
        tagging=Tagging(),
        prepare=prepare_bucket,
        look=look_for_bucket,
        made=tag_bucket,
    ),
    Row(
        type_name=f"{types.S3}BucketPolicy",
        noun="bucket policy",
        service="s3",
        create=Call("put_bucket_policy"),
        read=Read(Call("get_bucket_policy", {"Bucket": "$id"}), "@", absent=("NoSuchBucketPolicy", *_NO_BUCKET)),
        delete=Call("delete_bucket_policy", {"Bucket": "$id"}),
        named_by="Bucket",
        replaces=True,
        fills=IN_BUCKET,
        prepare=prepare_policy,
    ),
    Row(
        type_name=f"{types.S3}BucketLifecycleConfiguration",
        noun="bucket lifecycle",
        service="s3",
        create=Call("put_bucket_lifecycle_configuration"),
        read=Read(
            Call("get_bucket_lifecycle_configuration", {"Bucket": "$id"}),
            "@",
            absent=("NoSuchLifecycleConfiguration", *_NO_BUCKET),
        ),
        delete=Call("delete_bucket_lifecycle", {"Bucket": "$id"}),
        named_by="Bucket",
        replaces=True,
        fills=IN_BUCKET,
    ),
    Row(
        type_name=f"{types.S3}BaseBucketObject",
        noun="object",
        service="s3",
        create=Call("put_object"),
        read=Read(
            Call("head_object", {"Bucket": "$config.Bucket", "Key": "$config.Key"}),
            "@",
            absent=("NoSuchKey", *_NO_BUCKET),
        ),
        delete=Call("delete_object", {"Bucket": "$config.Bucket", "Key": "$config.Key"}),
        named_by="Key",
        name_length=1024,
        replaces=True,
        fills=IN_BUCKET,
        make=put_object,
    ),
)
