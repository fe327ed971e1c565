"""What is installed where: each top-level folder becomes the package ``outrider.<folder>``.

``outrider`` and ``outrider.plugins`` are namespaces without an ``__init__``, so that a host's bundle can
leave packages out and nothing generic (``agent``, ``cli`` …) lands in site-packages.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

#: Folders that become ``outrider.<folder>``.
FOLDERS = ("messaging", "agent", "dispatcher", "installer", "manager_stub", "cli")
#: Plugins that come with the agent. The others (aws, docker, ssh) build wheels and wagons of their own.
BUNDLED_PLUGINS = ("sdk", "wagons", "script", "cloudify", "host")
#: What the installer and other plugins use of a plugin that has its own wheel.
BUNDLED_PARTS = ("ssh.access",)


def packages_below(folder: str, package: str) -> dict[str, str]:
    """Return package name -> folder for ``folder`` and every regular package below it."""
    found = {package: folder}
    for name in find_packages(folder):
        found[f"{package}.{name}"] = f"{folder}/{name.replace('.', '/')}"
    return found


package_dir: dict[str, str] = {}
for folder in FOLDERS:
    package_dir.update(packages_below(folder, f"outrider.{folder}"))
for plugin in BUNDLED_PLUGINS:
    package_dir.update(packages_below(f"plugins/{plugin}", f"outrider.plugins.{plugin}"))
for part in BUNDLED_PARTS:
    package_dir.update(packages_below(f"plugins/{part.replace('.', '/')}", f"outrider.plugins.{part}"))

version_text = (ROOT / "messaging" / "version.py").read_text(encoding="utf-8")
version_match = re.search(r'^__version__ = "([^"]+)"', version_text, re.MULTILINE)
if version_match is None:
    raise SystemExit("messaging/version.py must hold __version__")

AGENT = [
    "pika>=1.3,<2",
    "psutil>=5.9",
    "virtualenv>=20.26",
    "packaging>=22",
    'tomli>=2; python_version < "3.11"',
]
MANAGER = [
    'alembic>=1.13; python_version >= "3.11"',
    'cryptography>=42; python_version >= "3.11"',
    'fastapi>=0.110; python_version >= "3.11"',
    'httptools>=0.6; python_version >= "3.11"',
    'jinja2>=3.1; python_version >= "3.11"',
    'orjson>=3.10; python_version >= "3.11"',
    'paramiko>=3.4; python_version >= "3.11"',
    'psycopg[binary]>=3.1; python_version >= "3.11"',
    'python-multipart>=0.0.9; python_version >= "3.11"',
    'pyyaml>=6; python_version >= "3.11"',
    'rich>=13; python_version >= "3.11"',
    'sqlalchemy>=2.0; python_version >= "3.11"',
    'typer>=0.12; python_version >= "3.11"',
    'uvicorn>=0.29; python_version >= "3.11"',
    'uvloop>=0.19; python_version >= "3.11"',
    'wheel>=0.43; python_version >= "3.11"',
]
AWS = ["boto3>=1.34"]
DOCKER = ["docker>=7", "paramiko>=3.4"]
DEV = [
    "ansible-core>=2.15",
    "build>=1.2",
    "celery>=5.3",
    "hypothesis>=6.100",
    "moto[server]>=5",
    "mypy>=1.10",
    "mkdocs-material>=9.5",
    "prometheus-client>=0.20",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "requests>=2.31",
    "ruff>=0.5",
    "schemathesis>=4",
    "setuptools>=77,<81",
    "testcontainers>=4",
    "types-jmespath",
    "types-psutil",
    "wagon[dist]>=1.0.1",
    "types-PyYAML",
    "types-paramiko",
    "types-docker",
    "types-requests",
]

#: Files of packages that are not modules.
package_data = {
    "outrider.plugins.cloudify": ["site/**/*"],
    "outrider.plugins.script": ["bin/*"],
    "outrider.dispatcher.blueprint": ["*.yaml", "**/*.yaml", "*.json"],
    "outrider.dispatcher.store": ["alembic.ini", "migrations/*.mako", "migrations/**/*.py", "*.sql"],
    "outrider.installer": ["templates/*", "files/*"],
    "outrider.manager_stub": ["static/**/*", "templates/**/*"],
    "outrider.cli": ["templates/**/*"],
}
for name, place in package_dir.items():
    if (ROOT / place / "py.typed").exists():
        package_data.setdefault(name, []).append("py.typed")

setup(
    name="outrider",
    version=version_match.group(1),
    description="Runs operations on many hosts: agents, plugins, workflows; speaks Cloudify's languages",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.9",
    packages=sorted(package_dir),
    package_dir=package_dir,
    include_package_data=False,
    package_data=package_data,
    install_requires=AGENT,
    extras_require={
        "manager": MANAGER,
        "aws": AWS,
        "docker": DOCKER,
        "dev": MANAGER + AWS + DOCKER + DEV,
    },
    entry_points={"console_scripts": ["outrider = outrider.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Distributed Computing",
    ],
)
