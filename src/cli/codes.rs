//! What stands at the end of the program's own help: exit codes, examples, where files are.
//!
//! Knows nothing of what ends with which code.

/// The text.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  the command line or a file cannot be read, or a name is not there
    2  the compose file is wrong
    3  no connection to the hypervisor
    4  a vm operation failed
    5  a storage, image or network operation failed
    6  a health gate failed or timed out
    7  failed, and something was left behind (it is listed)
    8  refused: lock held, stale plan, confirmation missing, protected
   10  `plan --exit-code` found changes
  130  interrupted
After 4, 5, 6 and 130 everything that the run did is undone, unless --on-failure says otherwise.

Examples:
  vmcompose init                    write a first vmcompose.yaml
  vmcompose plan                    show what `up` would do, and why
  vmcompose up                      bring everything up, wait until it is healthy
  vmcompose ps                      show the vms and their addresses
  vmcompose down                    take everything down; named volumes stay
  vmcompose schema --format markdown    every key of the file, with type, default and example

The file is vmcompose.yaml or vmcompose.yml, here or in the nearest folder above. Data goes to
stdout, everything else to stderr. Colours follow NO_COLOR and --color.";
