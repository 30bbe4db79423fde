"""An embedded PostgreSQL: made, started, cleared up after a crash, and given its roles and databases.

It listens on a Unix socket alone, in a folder that only its own user may enter, and asks for a password (scram).
Which tables it holds is the business of the services' migrations.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
from pydantic import SecretStr

from tenantmesh.deploy.postgres import DATABASE, LOGIN_ROLES, roles_sql
from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.engines.binaries import POSTGRES_MAJOR
from tenantmesh.deploy.stack.engines.passwords import SUPERUSER, Passwords, scram_verifier
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.paths import SOCKET_NAME, Places
from tenantmesh.deploy.stack.supervision.command import Child, Command
from tenantmesh.deploy.stack.supervision.process import find_process
from tenantmesh.deploy.stack.supervision.supervisor import Supervisor

__all__ = ["Postgres"]

# SIGINT is PostgreSQL's fast stop, which ends clients' sessions; SIGTERM would wait for them. SIGQUIT stops at once.
_SIGNALS = ((int(signal.SIGINT), 20.0), (int(signal.SIGQUIT), 5.0))
_START_SECONDS = 60.0  # recovery after a crash reads the log first
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "dynamic_shared_memory_type": "mmap",  # containers give /dev/shm 64 MB
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_error_verbosity": "terse",  # the details of an error have values of rows in them
}
# The lock is the one of roles.sql: what is the server's and not a database's is changed by one at a time.
_TAKE_TURNS = "LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;\n"
_CREATE_DATABASE = """
SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
BEGIN;
LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
COMMIT;
"""
# The same order of text on every machine: it depends neither on the C library nor on ICU.
_LOCALE = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
_BUILTIN_LOCALES = 17  # the first version that has them
_CAUSE = re.compile(r"(?:PANIC|FATAL): .*")  # after it come lines about the shutdown
_STATUS_LINE = 7  # of postmaster.pid, counted from zero
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One server with its data in `places.data`. `durable=False` is for tests: a power cut may lose data."""

    def __init__(
        self,
        programs: Path,
        places: Places,
        passwords: Passwords,
        user: EngineUser,
        supervisor: Supervisor,
        *,
        durable: bool = True,
        major: int = POSTGRES_MAJOR,
    ) -> None:
        self._programs = programs
        self._places = places
        self._passwords = passwords
        self._user = user
        self._supervisor = supervisor
        self._settings = _SETTINGS | ({} if durable else _NOT_DURABLE)
        self._locale = _LOCALE if major >= _BUILTIN_LOCALES else ["--locale=C"]
        self.data = places.data / f"pg{major}"
        self.child: Child | None = None

    @property
    def exists(self) -> bool:
        """Whether there is data of an earlier run."""
        return (self.data / "PG_VERSION").exists()

    @property
    def version(self) -> str:
        """The server's own version, such as 18.4."""
        done = subprocess.run(
            [str(self._programs / "postgres"), "--version"],
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()[-1]

    def start(self) -> None:
        """Start the server and wait until it takes connections. Raises StackError with the cause in the log."""
        if not self.exists:
            self._initialise()
        self._clear_up()
        settings = self._settings | {"unix_socket_directories": str(self._places.sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = Command(
            "postgres",
            (str(self._programs / "postgres"), "-D", str(self.data), *options),
            self._places.log("postgres"),
            environment=_ENVIRONMENT,
            user=self._user,
            signals=_SIGNALS,
            cause=_CAUSE,
        )
        self.child = self._supervisor.start(command)
        self._wait_ready(self.child)

    def stop(self) -> None:
        """Stop the server; open transactions are rolled back."""
        if self.child:
            self._supervisor.stop(self.child)
            self.child = None

    def install(self, database: str = DATABASE) -> None:
        """Make the database with its roles, schemas and passwords. Safe to repeat."""
        self.sql(_CREATE_DATABASE, name=database)
        verifiers = {role: scram_verifier(self._passwords[role]) for role in LOGIN_ROLES}
        passwords = "".join(f"ALTER ROLE {role} PASSWORD '{value}';\n" for role, value in verifiers.items())
        self.sql(f"{roles_sql()}BEGIN;\n{_TAKE_TURNS}{passwords}COMMIT;\n", database)

    def clone(self, database: str, template: str = DATABASE) -> None:
        """Copy a database, its rights included. Nobody may be connected to the template."""
        self.sql('CREATE DATABASE :"name" TEMPLATE :"template" STRATEGY file_copy', name=database, template=template)
        self.install(database)

    def drop(self, database: str) -> None:
        """Delete a database, its sessions included."""
        self.sql('DROP DATABASE IF EXISTS :"name" WITH (FORCE)', name=database)

    def url(self, role: str, database: str = DATABASE) -> SecretStr:
        """Return the URL by which `role` connects to a database, for asyncpg, libpq and SQLAlchemy."""
        password = quote(self._passwords[role].get_secret_value(), safe="")
        return SecretStr(f"postgresql://{role}:{password}@/{quote(database)}?host={quote(str(self._places.sockets))}")

    def sql(self, script: str, database: str = "postgres", **variables: str) -> str:
        """Run a script as the superuser and return its rows, unaligned.

        `:'name'` and `:"name"` in it stand for a variable, quoted. Raises StackError at its first error.
        """
        command = [str(self._programs / "psql"), "-X", "-q", "-A", "-t", "-f", "-", "-v", "ON_ERROR_STOP=1"]
        command += [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        environment = _ENVIRONMENT | {
            "PGHOST": str(self._places.sockets),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self._passwords[SUPERUSER].get_secret_value(),
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": "10",
        }
        done = subprocess.run(
            command, input=script, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise StackError(f"PostgreSQL refused: {done.stderr.strip()}", remedy=self._remedy(done.stderr))
        return done.stdout.strip()

    def _remedy(self, complaint: str) -> str:
        if "password authentication failed" in complaint:
            return f"{self._places.passwords} is not the one this data was made with: restore it, or delete both."
        return f"Details: {self._places.log('postgres')}"

    def _initialise(self) -> None:
        """Make the data folder under another name first, so that one cut short is never taken for a whole one."""
        draft = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        with self._password_file() as password_file:
            arguments = [
                *self._locale,
                "-E",
                "UTF8",
                "-U",
                SUPERUSER,
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
            ]
            arguments += ["--no-sync", "--no-instructions", "-D", str(draft)]
            self._run_initdb(arguments)
        draft.rename(self.data)

    def _run_initdb(self, arguments: list[str]) -> None:
        done = subprocess.run(
            [str(self._programs / "initdb"), *arguments],
            cwd="/",
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **self._user.popen(),
        )
        if done.returncode:
            reason = next(iter(done.stderr.strip().splitlines()), "no reason given")
            raise StackError(f"PostgreSQL can't make its data folder: {reason}")

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[Path]:
        path = self._places.data / "initdb.password"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, self._passwords[SUPERUSER].get_secret_value().encode() + b"\n")
            os.close(descriptor)
            self._user.give(path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _clear_up(self) -> None:
        """Remove the locks of a server that was killed.

        While a killed server is a zombie PostgreSQL believes it alive and won't start. Its lock also guards against a
        second server beside orphaned backends; so they are ended before the lock goes.
        """
        locks = (self.data / "postmaster.pid", self._places.sockets / f"{SOCKET_NAME}.lock")
        if not any(lock.exists() for lock in locks):
            return
        for process in self._strays():
            with contextlib.suppress(psutil.NoSuchProcess):
                find_process("postgres", process.pid, _SIGNALS).end()
        for path in (*locks, self._places.sockets / SOCKET_NAME):
            path.unlink(missing_ok=True)

    def _strays(self) -> list[psutil.Process]:
        """Return the processes of an earlier run: every PostgreSQL process works inside its data folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.name().startswith("postgres") and process.cwd() == str(self.data.resolve()):
                    found.append(process)
        return found

    def _wait_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready(child):
            if child.ended():
                raise child.failure("did not start")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready after {_START_SECONDS:.0f} s")
            time.sleep(0.01)

    def _ready(self, child: Child) -> bool:
        """Return whether the last line of the server's own lock file says that it is ready, as pg_ctl does."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return False
        if len(lines) <= _STATUS_LINE or lines[0] != str(child.process.pid):
            return False  # half-written, or of an earlier server
        return lines[_STATUS_LINE].strip() in {"ready", "standby"}
