"""User data of new machines."""

from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from outrider_facade import further_names

__getattr__ = further_names(__name__)

#: First line of a part -> its MIME subtype, as cloud-init has them.
_SUBTYPES = {
    "#!": "x-shellscript",
    "#include": "x-include-url",
    "#cloud-config": "cloud-config",
    "#upstart-job": "upstart-job",
    "#part-handler": "part-handler",
    "#cloud-boothook": "cloud-boothook",
    "#cloud-config-archive": "cloud-config-archive",
    "#ps1": "x-shellscript",
}


def create_multi_mimetype_userdata(input_list):
    """Return one MIME multipart text from several user data texts."""
    userdata = MIMEMultipart()
    for part in input_list:
        userdata.attach(MIMEText(part, _subtype_of(part)))
    return userdata.as_string()


def _subtype_of(part):
    matches = [start for start in _SUBTYPES if part.startswith(start)]
    return _SUBTYPES[max(matches, key=len)] if matches else "plain"
