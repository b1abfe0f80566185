#!/bin/sh -e
echo "$MODE as $(id -un)" > "$HOME/proof"
grep -q "mode = $MODE" /etc/app.conf
