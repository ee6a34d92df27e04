from curate.cli.commands import main

main()
