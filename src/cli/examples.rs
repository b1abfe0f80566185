//! Examples that are longer than the words about their commands.
//!
//! Owns their text alone.

pub(super) const SSH_CONFIG: &str = "\
Examples:
  vmcompose ssh-config > shop.ssh && ssh -F shop.ssh db
  rsync -e 'ssh -F shop.ssh' -a src/ db:src/
  ansible -i db, --ssh-common-args '-F shop.ssh' all -m ping
For every ssh of yours, with `Include vmcompose/*` as the first line of ~/.ssh/config:
  mkdir -p ~/.ssh/vmcompose && vmcompose ssh-config > ~/.ssh/vmcompose/shop";

pub(super) const COMPLETION: &str = "\
Examples:
  vmcompose completion bash > ~/.local/share/bash-completion/completions/vmcompose
  vmcompose completion zsh > ~/.zfunc/_vmcompose                  # a folder of $fpath
  vmcompose completion fish > ~/.config/fish/completions/vmcompose.fish
  eval (vmcompose completion elvish | slurp)                      # in rc.elv
  vmcompose completion powershell | Out-String | Invoke-Expression    # in $PROFILE";

pub(super) const CP: &str = "\
Examples:
  vmcompose cp app.conf web-1:/etc/app.conf --via agent
  vmcompose cp db:/var/log/postgresql ./logs
  vmcompose cp db:/etc - | tar -tf -";

pub(super) const IMPORT: &str = "\
Examples:
  vmcompose import --all
  vmcompose -p lab import web db --adopt --out vmcompose.yaml && vmcompose plan";

pub(super) const UP: &str = "\
Examples:
  vmcompose up
  vmcompose up web                  # only that vm, and what it depends on
  vmcompose up --replace web        # make it anew, with new disks of its own
  vmcompose plan --out shop.plan && vmcompose up --plan shop.plan --yes
  vmcompose up --on-failure keep    # leave a vm that does not get healthy, to look at it
  vmcompose -f base.yaml -f ci.yaml up --locked --yes --progress plain";

pub(super) const RECOVER: &str = "\
Examples:
  vmcompose recover --list
  vmcompose recover
  vmcompose recover --all --yes";

pub(super) const PLAN: &str = "\
Examples:
  vmcompose plan
  vmcompose plan --exit-code --format json > plan.json    # ends with 10 where there are changes
  vmcompose plan --out shop.plan                          # `up --plan shop.plan` does that or nothing
  vmcompose plan --destroy                                # what `down` would do";

pub(super) const EXEC: &str = "\
Examples:
  vmcompose exec db -- uptime
  vmcompose exec db -- sh -c 'journalctl -b | tail -20'
  vmcompose exec -i db -- sh -c 'cat > /etc/motd' < motd";
