# What is live on this host, in one go: this file, and after it the other `probe_*.sh`, each a part of the answer. Before
# it drop_ins.sh, signature.sh, verify.sh, way_in.sh; with interpreters venv.sh; with a digest_port nginx.sh.
# Set before: base, paths (one a line), units, users, packages, releases, spared, venvs, interpreters, ports (separated by
# spaces), certificates (`CERTIFICATE<tab>KEY` a line), fleet, digest_port (empty: nginx is no business of ours),
# nginx_digest, site_address, site_proofs; programs (one a line: a path, or a name that systemd looks for), executes (yes:
# some start what they bring along); packages_said and packages_database (what an earlier answer said of the very same
# packages, and of which state of dpkg's database); releases_signed (the digest that an earlier answer gave to what releases
# look like); own_unit (in which evenkeel works here), folders (one a line), drop_ins and drop_in_bytes (how many drop-ins
# are read, and how much of each).
# Answers in sections `NAME LENGTH`, a line break, so many bytes, a line break. A part that cannot be
# told is a section `?NAME` with the reason.
#
# To start a program takes longer than all that the shell does by itself. So each program is started at
# most once, for everything it is to tell, and what the shell can read or find out it does.
#
# shellcheck disable=SC2154,SC2034 # variables that are set before, and for the other parts
export LC_ALL=C # lengths are in bytes, and messages the ones that the parser knows
tab='	'
newline='
'
answer=
# What hangs is told by its name.
asks() { echo "evenkeel asks $1" >&2; }
section() { answer="$answer$1 ${#2}$newline$2$newline"; }
# Names that come back in words and paths are names, not patterns.
set -f

# With which the digests of what is not ours are sealed, once they have arrived.
key=
if [ -e "$base/key" ]; then read -r key <"$base/key"; fi
section key "$key"

manifest=
if [ -e "$base/manifest" ]; then
  if manifest=$(cat "$base/manifest" 2>/dev/null); then
    section manifest "$manifest"
  else
    section '?manifest' "$(cat "$base/manifest" 2>&1 >/dev/null)"
    manifest=
  fi
fi

# What the manifest says is ours is looked at beside what was asked about.
IFS=$newline
for line in $manifest; do
  name=${line##*"$tab"}
  case $line in
  file"$tab"* | link"$tab"*)
    case $newline$paths$newline in *"$newline$name$newline"*) ;; *) paths=$paths$newline$name ;; esac
    ;;
  unit"$tab"*)
    case " $units " in *" $name "*) ;; *) units="$units $name" ;; esac
    ;;
  esac
done
unset IFS

