"""A small executor of the Gateway Federation Protocol, written from `spec/` alone. Run it as `python3 examples/executor`:

    init --listen 127.0.0.1:7543          keys, a root, a certificate
    serve                                 answers peers
    invite                                prints one line for the other side
    accept ALIAS --agent echo             shows the twelve words, then trusts and grants
    peer ALIAS active|suspended|revoked   what becomes of a peer
    halt, go-on                           stops everything at once, and takes that back

Its agent says the words of a prompt back; a prompt that ends with "slowly." is answered by nothing, for ever.
"""

import argparse
import signal
import threading
import time

import identity
import pairing
from executor import Executor
from server import Server
from store import Store


def init(options):
    values = identity.make(options.home, options.endpoint or f"https://{options.listen}")
    store = Store(options.home)
    with store.tx():
        store.put(listen=options.listen, **values)
    print(Executor(options.home).gid)


def serve(options):
    executor = Executor(options.home)
    executor.issue_status()
    executor.take_up()
    host, _, port = executor.store.meta("listen").rpartition(":")
    server = Server((host.strip("[]"), int(port)), executor)

    def drain(*_):
        """Streams end with `draining`, runs do not end (STR-44)."""
        executor.draining = True
        threading.Thread(target=lambda: (time.sleep(1.5), server.shutdown()), daemon=True).start()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    threading.Thread(target=executor.keep_house, daemon=True).start()
    print(f"{executor.gid} listens on {host}:{port}", flush=True)
    server.serve_forever(0.2)


def halt(options, yes):
    store = Store(options.home)
    with store.tx():
        store.put(halted=yes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="example-executor", help="where all that lasts is kept")
    commands = parser.add_subparsers(required=True)

    def command(name, run):
        sub = commands.add_parser(name)
        sub.set_defaults(run=run)
        return sub.add_argument

    add = command("init", init)
    add("--listen", default="127.0.0.1:7543")
    add("--endpoint", help="the https origin that peers dial, where it is another")
    command("serve", serve)
    command("invite", lambda options: print(pairing.invite(Executor(options.home))))
    add = command("accept", lambda options: pairing.accept(Executor(options.home), options))
    add("alias")
    add("--words", help="the twelve words as the other side reads them; asked for otherwise")
    add("--agent", action="append", required=True)
    add("--mode", action="append", choices=["session", "turn"])
    add("--src", default="default", help="the peer's tenant")
    add("--dst", default="default", help="our tenant")
    add("--concurrent", type=int, default=16)
    add("--disclose", default="full", choices=["full", "digest", "none"])
    add = command("peer", lambda options: pairing.become(Executor(options.home), options.alias, options.status))
    add("alias")
    add("status", choices=["active", "suspended", "revoked"])
    command("halt", lambda options: halt(options, 1))
    command("go-on", lambda options: halt(options, 0))
    options = parser.parse_args()
    options.run(options)


main()
