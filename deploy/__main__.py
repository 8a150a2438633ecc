"""`python -m deploy` is `suyuan`."""

from deploy.command import main

main()
