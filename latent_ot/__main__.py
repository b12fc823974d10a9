"""The ``latent-ot`` program, which hears Ctrl-C, SIGTERM and SIGHUP before it imports anything."""

from latent_ot import interrupts


def main() -> None:
    """Entry point of the console script."""
    interrupts.take()
    from latent_ot.cli import main as command

    try:
        command()
    finally:
        interrupts.deaf()
        interrupts.end_children()


if __name__ == "__main__":
    main()
