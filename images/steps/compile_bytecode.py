"""Build step, as root: compile the standard library and Airflow's environment of the base image to bytecode.

The official images have no bytecode, so each new container would compile Airflow again. Files are checked by the
source's time stamp (never "unchecked"), so that a derived image that patches a module runs the patch.
"""

import compileall
import os
import re
import stat
import sys
import sysconfig

# Test suites are never imported by a task; without them the layer is a fifth smaller.
SKIPPED = re.compile(r"/(tests?|idle_test)/")


def library_folders():
    """Return the folders with importable sources: standard library, the interpreter's packages, the user airflow's."""
    paths = sysconfig.get_paths()
    user_site = os.path.join(
        os.environ.get("AIRFLOW_USER_HOME_DIR", "/home/airflow"),
        f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages",
    )
    folders = []
    for folder in (paths["stdlib"], paths["purelib"], paths["platlib"], user_site):
        folder = os.path.realpath(folder)
        if os.path.isdir(folder) and not any(folder == f or folder.startswith(f + "/") for f in folders):
            folders.append(folder)
    return folders


def give_to_owner_of_sources(folder):
    """Give bytecode to the owner of the sources, group-writable as they are.

    pip, run as airflow in a derived image, must be able to delete it when it upgrades a package.
    """
    for path, directories, files in os.walk(folder):
        if os.path.basename(path) != "__pycache__":
            continue
        owner = os.stat(os.path.dirname(path))
        for name in [path] + [os.path.join(path, file) for file in files]:
            os.chown(name, owner.st_uid, owner.st_gid)
        os.chmod(path, stat.S_IMODE(owner.st_mode))
        del directories[:]


def main():
    """Compile the folders."""
    for folder in library_folders():
        # Some packages ship templates that are no Python: they fail to compile, and nothing imports them.
        compileall.compile_dir(folder, maxlevels=50, quiet=2, workers=0, rx=SKIPPED)
        give_to_owner_of_sources(folder)
        print("compiled " + folder)


if __name__ == "__main__":
    main()
