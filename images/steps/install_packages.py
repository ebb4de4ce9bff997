"""Build step: install Python packages into Airflow's environment without moving Airflow.

Runs as the user airflow with the interpreter of the image (3.8 and up), standard library and pip only. Airflow's own
version is always pinned; the constraints are the image's own, those as far as the requirements allow, a file, or none.
"""

import argparse
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import canonicalize_name

# These decide "the version of Airflow"; a requirement must never move them.
AIRFLOW_DISTRIBUTIONS = ("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk")
COMMENT = re.compile(r"(^|\s)#.*$")
OWN_ENVIRONMENT = (
    "Packages that cannot live beside Airflow require a virtual environment of their own, in an image that is built "
    "FROM this one: RUN python -m venv /opt/airflow/NAME"
)


def airflow_versions():
    """Return the installed versions of Airflow's own distributions, as they are on disk now."""
    importlib.invalidate_caches()
    versions = {}
    for name in AIRFLOW_DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def dependency_problems():
    """Return what `pip check` finds, a line each."""
    code, lines = run_pip(["check"])
    return lines if code else []


def installed_versions():
    """Return the versions of all installed distributions by canonical name."""
    found = importlib.metadata.distributions()
    return {canonicalize_name(item.metadata["Name"]): item.version for item in found if item.metadata["Name"]}


def image_constraints():
    """Return the constraints of the base image, by canonical name, as lines.

    They are what is installed now and, for the other packages, the file that official images have.
    """
    shipped = os.path.join(os.environ.get("AIRFLOW_USER_HOME_DIR", "/home/airflow"), "constraints.txt")
    constraints = {}
    if os.path.isfile(shipped):
        constraints = read_constraints(shipped)
    held = installed_versions()
    if constraints:
        held = {name: version for name, version in held.items() if name in constraints}
    constraints.update((name, f"{name}=={version}") for name, version in held.items())
    return constraints


def read_constraints(path):
    """Return the lines of a constraints file by canonical name. Lines that name no package have themselves as name."""
    constraints = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = COMMENT.sub("", line).strip()
            if line:
                requirement = parsed(line)
                constraints[canonicalize_name(requirement.name) if requirement else line] = line
    return constraints


def parsed(line):
    """Return the requirement of a line of a file, or None for an option, an address, or what pip has to judge."""
    try:
        return Requirement(re.split(r"\s--?\w", line)[0])
    except InvalidRequirement:
        return None


def requirements_of(path):
    """Return the requirements of a file that apply to this Python, and those of the constraints files it names."""
    found = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            nested = re.match(r"--constraint (\S+)", line)
            if nested:
                found += requirements_of(nested.group(1))
            requirement = parsed(COMMENT.sub("", line).strip())
            if requirement and (requirement.marker is None or requirement.marker.evaluate()):
                found.append(requirement)
    return found


def direct_conflicts(requirements, constraints):
    """Return the requirements whose versions a constraint excludes, as {canonical name: requirement}."""
    found = {}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        constraint = parsed(constraints.get(name, ""))
        pins = [pin.version for pin in constraint.specifier if pin.operator == "=="] if constraint else []
        if pins and not requirement.specifier.contains(pins[0], prereleases=True):
            found[name] = str(requirement.name) + str(requirement.specifier)
    return found


def pip_environment():
    """Return pip's environment, with the company's CA and configuration if the build has them as secrets."""
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_ROOT_USER_ACTION="ignore")
    environment.pop("PIP_USER", None)  # older official images set it, and pip refuses it in a virtual environment
    ca_bundle, pip_config = "/run/secrets/ca-bundle", "/run/secrets/pip-config"
    if os.path.isfile(ca_bundle):
        environment.update(PIP_CERT=ca_bundle, SSL_CERT_FILE=ca_bundle, REQUESTS_CA_BUNDLE=ca_bundle)
    if os.path.isfile(pip_config):
        environment["PIP_CONFIG_FILE"] = pip_config
    return environment


def run_pip(arguments):
    """Run pip and show its output; return the exit code and the output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", *arguments],
        env=pip_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line.rstrip())
    return process.wait(), lines


class Installation:
    """An installation by pip, held by constraints and by the Airflow that is there."""

    def __init__(self, arguments, constraints, airflow, airflow_packages):
        """Take pip's arguments, the constraints by canonical name, and Airflow's distributions with their versions.

        ``airflow_packages`` are names of further distributions of Airflow, such as providers. pip has to find versions
        of everything that go with all of them.
        """
        self.constraints = dict(constraints)
        self.relaxed = {}  # constraints that were left out: name -> (constraint, what requires another version)
        self.account = []
        self._arguments = list(arguments) + sorted(airflow_packages)
        self._airflow = airflow

    def run(self, *options):
        """Run pip once, and return whether it succeeded; ``lines`` is its output, ``account`` that of a conflict."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
            file.writelines(line + "\n" for line in self.constraints.values())
            file.writelines("{}=={}\n".format(*pin) for pin in self._airflow.items())
        pins = ["{}=={}".format(*pin) for pin in self._airflow.items()]
        code, self.lines = run_pip(["install", *options, "--constraint", file.name, *self._arguments, *pins])
        os.unlink(file.name)
        # pip's account of a conflict: `The user requested X`, `Y 1.0 depends on X>=2`, `(constraint) X==1`.
        self.account = [line.strip() for line in self.lines if re.search(r"user requested|depends on", line)]
        return code == 0

    def run_relaxed(self, *options):
        """Run pip until it succeeds, and leave out constraints that conflict. Return whether it succeeded."""
        while not self.run(*options):
            blocking = self.blocking()
            if not blocking:
                return False
            reasons = [line for line in self.account if "(constraint)" not in line]
            for name in blocking:
                self.relaxed[name] = (self.constraints.pop(name), reason_for(name, reasons))
        return True

    def blocking(self):
        """Return the packages whose constraints pip's account of a conflict is about."""
        named = re.findall(r"\(constraint\) ([\w.-]+)", " ".join(self.account))
        # Otherwise, a constraint holds a package whose dependency excludes what was requested.
        return self._held(named) or self._held(excluding(self.account))

    def _held(self, names):
        return {canonicalize_name(name) for name in names} & set(self.constraints)

    def leave_out(self, conflicts):
        """Leave out the constraints of packages that the requirements want in other versions."""
        for name, requirement in conflicts.items():
            self.relaxed[name] = (self.constraints.pop(name), requirement)


def excluding(account):
    """Return the packages of pip's account whose dependencies exclude a version that was requested."""
    requested = {}
    for line in account:
        match = re.match(r"The user requested (.*)", line)
        requirement = match and parsed(match.group(1))
        for pin in requirement.specifier if requirement else ():
            requested[canonicalize_name(requirement.name)] = pin.version if pin.operator == "==" else None
    found = []
    for line in account:
        match = re.match(r"(\S+) \S+ depends on (.*)", line)
        dependency = match and parsed(match.group(2).replace(" and ", ","))
        if dependency:
            version = requested.get(canonicalize_name(dependency.name))
            if version is None or not dependency.specifier.contains(version, prereleases=True):
                found.append(re.sub(r"\[.*", "", match.group(1)))
    return found


def reason_for(name, reasons):
    """Return which of pip's reasons is about a package: `Y 1.0 depends on X>=2` is about both."""
    pattern = re.escape(name).replace("\\-", "[-_.]")
    wanted = re.compile(rf"(?:(?:requested|depends on) |^){pattern}(?![\w-])", re.IGNORECASE)
    about = [reason for reason in reasons if wanted.search(reason)] or reasons or [""]
    return about[0].replace("The user requested ", "")


def conflict_table(relaxed):
    """Return the lines of a table of constraints and of what requires other versions."""
    rows = [("constraint", "required")]
    rows += sorted((constraint, required) for constraint, required in relaxed.values())
    width = max(len(row[0]) for row in rows)
    return [f"  {constraint.ljust(width)}  {required}" for constraint, required in rows]


def explain(lines, account, versions):
    """Return lines on why pip failed, with the requirement that would change Airflow if that is the reason."""
    airflow = versions["apache-airflow"]
    on_airflow = re.compile(r"depends on ({})(?![\w-])".format("|".join(re.escape(name) for name in versions)))
    culprits = [line for line in account if on_airflow.search(line)]
    if culprits:
        return [f"a requirement would change Airflow {airflow}: {'; '.join(culprits)}"]
    if account:
        return [f"the requirements cannot be installed beside Airflow {airflow}:", *("  " + x for x in account)]
    errors = [line.strip() for line in lines if line.lstrip().upper().startswith("ERROR")]
    return ["pip could not install the packages" + (": " + errors[-1] if errors else ", see above")]


def went_back_to(lines):
    """Return the packages of which pip tried older and older versions."""
    found = (re.match(r"INFO: pip is looking at multiple versions of ([\w.-]+)", line) for line in lines)
    return sorted({match.group(1) for match in found if match})


def explain_moved(moved, lines, versions):
    """One sentence on packages of Airflow that came beside the ones that are pinned, and which requirement asked."""
    brought = []
    for name, version in sorted(moved):
        asked = [line.strip() for line in lines if re.match(rf"\s*Collecting {re.escape(name)}[^\w-]", line)]
        brought.append(" ".join([name, version, *(f"({line})" for line in asked)]))
    return f"a requirement would change Airflow {versions['apache-airflow']}: it brings {', '.join(brought)}"


def fail(lines, hint=""):
    """Print an error in the form that the build tool finds in Docker's output, and return the exit code."""
    for line in lines:
        print("airflow-ecs-build: error: " + line, file=sys.stderr)
    if hint:
        print("airflow-ecs-build: hint: " + hint, file=sys.stderr)
    return 1


def note(line):
    """Print what the build tool shows at the end of a build that succeeded."""
    print("airflow-ecs-build: note: " + line)


def looks_like_a_lock(requirements):
    """Return whether nearly all requirements are exact versions."""
    exact = [item for item in requirements if any(pin.operator == "==" for pin in item.specifier)]
    return len(requirements) >= 20 and len(exact) >= 0.9 * len(requirements)


def explain_conflicts(installation, requirements, versions, of_image):
    """Return the error and the hint for requirements that the constraints exclude, after a trial without those.

    ``of_image`` tells whether the constraints are those of the image.
    """
    print("airflow-ecs-build: trying which constraints the requirements exclude; nothing is installed")
    possible = installation.run_relaxed("--dry-run")
    error = ["the requirements conflict with the constraints:", *conflict_table(installation.relaxed)]
    if not possible:
        return error + explain(installation.lines, installation.account, versions), OWN_ENVIRONMENT
    if not of_image:
        return error, "Change the requirements, or the constraints file."
    if looks_like_a_lock(requirements):
        return error, (
            "The requirements pin nearly every package, as a complete lock does: give the same file as the "
            "constraints, too (--constraints FILE). Or let single versions win: --constraints relaxed"
        )
    return error, (
        "Give --constraints relaxed: then the versions of the requirements win, and the other constraints hold. "
        "Or change the requirements."
    )


def main():
    """Install the packages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--constraints", default="image", help="image, relaxed, none, or a file")
    parser.add_argument("--requirements", help="a requirements file")
    parser.add_argument("packages", nargs="*")
    arguments = parser.parse_args()
    os.umask(0o002)  # any UID with GID 0 may use, and a derived image upgrade, what is installed here

    before = airflow_versions()
    broken = dependency_problems()
    constraints = {}
    if arguments.constraints in ("image", "relaxed"):
        constraints = image_constraints()
    elif arguments.constraints != "none":
        constraints = read_constraints(arguments.constraints)
    for name in AIRFLOW_DISTRIBUTIONS:  # pinned in any case
        constraints.pop(name, None)
    # In an environment that was broken before, the resolver would find conflicts that are not the requirements'.
    beside = set() if broken else {name for name in installed_versions() if name.startswith("apache-airflow-providers")}
    command, requirements = list(arguments.packages), []
    if arguments.requirements:
        command += ["--requirement", arguments.requirements]
        requirements = requirements_of(arguments.requirements)
    installation = Installation(command, constraints, before, beside)
    conflicts = direct_conflicts(requirements, constraints)
    if arguments.constraints == "relaxed":
        installation.leave_out(conflicts)
        succeeded = installation.run_relaxed()
    else:
        succeeded = not conflicts and installation.run()
        if not succeeded and (conflicts or installation.blocking()):
            installation.leave_out(conflicts)
            of_image = arguments.constraints == "image"
            return fail(*explain_conflicts(installation, requirements, before, of_image))
    if not succeeded:
        error = explain(installation.lines, installation.account, before)
        older = [] if installation.account else went_back_to(installation.lines)
        if older:
            error.append("pip went back to older versions of {}, to meet the constraints".format(", ".join(older)))
            return fail(error, f"Name the version that you want, such as {older[0]}==X.Y. {OWN_ENVIRONMENT}")
        return fail(error, OWN_ENVIRONMENT if installation.account else "")
    moved = set(airflow_versions().items()) - set(before.items())
    if moved:
        return fail([explain_moved(moved, installation.lines, before)])
    new = [line for line in dependency_problems() if line not in broken]
    if new:
        return fail(["the dependency check found:", *("  " + line for line in new)], OWN_ENVIRONMENT)
    installed = installed_versions()
    for name, (constraint, required) in sorted(installation.relaxed.items()):
        if constraint != f"{name}=={installed.get(name)}":
            note(f"{name} {installed.get(name)} is installed instead of {constraint}, because of {required}")
    for line in installation.lines:
        if re.match(r"WARNING: .*(yanked|Retrying)", line):
            note("pip: " + line[len("WARNING: ") :])
    return 0


if __name__ == "__main__":
    sys.exit(main())
