"""The image of a container in which Python runs with boto3: this Python, its libraries, and the packages that the tests use."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

# What an application with boto3 installs.
PACKAGES = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"]
# Of botocore's service models, which are most of it, these.
MODELS = {"ecs", "sts"}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "config-*", "lib2to3")
PYTHON = os.path.realpath(sys.executable)


def build(folder):
    """Fills the folder with a build context; gives it."""
    root = folder / "root"
    stdlib = pathlib.Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, _below(root, stdlib), ignore=LEFT_OUT)
    _copy(root, PYTHON)
    for library in _libraries([PYTHON, *stdlib.glob("lib-dynload/*.so")]):
        _copy(root, library)
    site = pathlib.Path(sysconfig.get_path("purelib"))
    for package in PACKAGES:
        source, target = site / package, root / "packages" / package
        if source.is_dir():
            shutil.copytree(source, target, ignore=_only_models)
        else:
            shutil.copy(source, target)
    (root / "tmp").mkdir()
    (folder / "Dockerfile").write_text(
        f'FROM scratch\nCOPY root /\nENV PYTHONPATH=/packages PYTHONHOME={sys.base_prefix} PYTHONDONTWRITEBYTECODE=1\n'
        f'ENTRYPOINT ["{PYTHON}"]\n'
    )
    return folder


def _only_models(folder, names):
    ignored = LEFT_OUT(folder, names)
    if folder.endswith("botocore/data"):
        ignored |= {name for name in names if os.path.isdir(os.path.join(folder, name)) and name not in MODELS}
    return ignored


def _libraries(files):
    found = set()
    for file in files:
        listed = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
        found.update(re.findall(r"(?:=> )?(/\S+) \(0x", listed))
    return found


def _below(root, path):
    return root / str(path).lstrip("/")


def _copy(root, path):
    target = _below(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
