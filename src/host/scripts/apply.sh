# What the steps of a phase do on a host. Run by the host's systemd as a transient unit, so that it goes
# on, or is undone, without the controller. Set before: base, name and generation (of this deployment),
# directory and events (of this phase of it), kept_units (patterns, where a unit is replaced). Order, always: the
# manifest owns a path before the path changes; what is replaced is kept and synced before it is replaced; a file is
# written beside its place, synced, and renamed.
#
# To start a program, and to wait for a disk, takes longer than all that the shell does by itself. So steps of one
# kind that follow one another are carried out as one (`together`). What they do stands in apply_files.sh,
# apply_units.sh, apply_packages.sh and apply_nginx.sh.
#
# The order of writing is always the same. First the manifest becomes the union of old and new. What lies at a path
# is copied to `kept/` and synced, and the journal says so. The new file is written beside its place; it and the journal
# are synced, and it is renamed. The instance's last phase ends with the final manifest and the file `finished`. Wherever
# power goes, everything evenkeel made is known to be its own, and what was there before is there still. What needs no
# order among itself is synced by one call.
#
# shellcheck disable=SC2154 # variables that are set before
set -u
umask 022
payload=$directory/payload
journal=$directory/journal
own_unit=evenkeel-${base##*/}.service
tab='	'
newline='
'
: >>"$events"

say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$events"; }
flat() { printf '%.3000s' "$1" | tr '\n\t' '\036 '; }

# Whose failure a step's is, by the status it ends with. A commit is quarantined only for what is named as its own:
# what nobody thought of is the instance's, and is tried again.
of_commit=65
overtaken=75

# Tells of a step that failed. Ends with 3, for whoever runs it then has nothing to tell.
failure() { # ID OUTPUT STATUS
  # A host that goes down ends what runs on it: that says nothing of the step.
  [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || exit 3
  failed_id=$1 output=$2 status=$3
  # On a disk that is full this is to be read all the same, and says more than `I/O error`.
  # A disk without a limit of inodes has `-` or 0 of them.
  IFS=' ' read -r room inodes inodes_left <<END
$(df -k --output=avail,itotal,iavail -- "$base" | tail -n 1)
END
  full=
  [ "${room:-0}" -ge 64 ] || full="the disk of $base is full"
  case ${inodes:-0}-${inodes_left:-0} in [1-9]*-0) full="the disk of $base is full: no inode is left" ;; esac
  if [ "$full" ]; then
    output="$output ($full)"
    [ "$status" = "$overtaken" ] || status=1
  fi
  rm -rf -- "$base/deployments/$name/reserve" "$base/deployments/$name/reserved-files"
  # What systemd adds to this very unit may be why.
  added=$(systemctl show --value -p DropInPaths -- "$own_unit")
  [ -z "$added" ] || output="$output (systemd adds to $own_unit what evenkeel did not write: $added; a plan tells what exempts it)"
  case $status in "$of_commit") cause=commit ;; "$overtaken") cause=overtaken ;; *) cause=host ;; esac
  printf 'failed\t%s\t%s\t%s\n' "$failed_id" "$cause" "$(flat "$output")" >>"$events"
}

# Runs one step: step ID COMMAND...
step() {
  id=$1
  shift
  say started "$id" ''
  output=$("$@" 2>&1)
  status=$?
  if [ "$status" = 0 ]; then
    say 'done' "$id" ''
  else
    failure "$id" "$output" "$status"
    exit 1
  fi
}

# Runs the steps of a group as one. GROUP is a function that calls what it is given once for each of its steps, as
# `COMMAND... ID ARGUMENT...`. Few programs do for all steps what is to be done; where one of them fails, each step is done
# by itself, so that the step that cannot be done is told, and in its own words.
together() { # GROUP COMMAND
  group=$1 id=''
  "$group" tell started
  output=$("$2" 2>&1)
  status=$?
  case $status in
  0) "$group" tell 'done' ;;
  3) exit 1 ;;
  *)
    "$group" first
    failure "$id" "$output" "$status"
    exit 1
    ;;
  esac
}
tell() { say "$1" "$2" ''; }
first() { [ "$id" ] || id=$1; }

# Does something to each step of the group by itself, until one cannot be done.
one_by_one() { "$group" one "$1"; }
one() { # COMMAND ID ARGUMENT...
  command=$1 id=$2
  shift 2
  said=$("$command" "$@" 2>&1)
  status=$?
  [ "$status" != 0 ] || return 0
  failure "$id" "$said" "$status"
  exit 3
}

# Does something to the unit of each step by itself, and tells each that cannot be done: one says nothing of the next.
# Where five in a row say no, something else is wrong than a unit.
unit_by_unit() { # COMMAND
  failed='' in_a_row=0
  "$group" one_unit "$1"
  [ ! "$failed" ] || exit 3
}
one_unit() { # COMMAND ID UNIT ARGUMENT...
  command=$1 id=$2
  shift 2
  [ "$in_a_row" -lt 5 ] || return 0
  said=$("$command" "$@" 2>&1)
  status=$?
  if [ "$status" = 0 ]; then
    in_a_row=0
  else
    failed=yes in_a_row=$((in_a_row + 1))
    failure "$id" "$said" "$status"
  fi
}

# Lines of the journal, in force before what they undo. A cut may leave the first of them, and a part of the next one,
# which undoing passes over: what that line was to undo had not begun.
record() { # LINE...
  printf '%s\n' "$@" >>"$journal" && sync "$journal"
}

# What the journal has by now: lines, with a line break before the first.
recorded() {
  lines=$newline
  while IFS= read -r line; do lines=$lines$line$newline; done <"$journal"
}

# Keeps what lies at a path, once per phase.
keep() {
  recorded
  case $lines in *"$tab$1$newline"*) return 0 ;; esac
  # One that no other line has: the journal grows.
  number=${#lines}
  if [ -e "$1" ] || [ -L "$1" ]; then
    cp -a -T -- "$1" "$directory/kept/$number" || return 1
    # A link has no content to sync; its name is its folder's.
    set -- "$1" "$directory/kept/$number" "$directory/kept"
    if [ -L "$1" ]; then sync "$3"; else sync "$2" "$3"; fi || return 1
    record "kept$tab$number$tab$1"
  else
    record "absent$tab-$tab$1"
  fi
}

# Notes, once per phase, whether a unit was active or enabled; of one that ran, which of its starts that was. Of all
# units in one question, and in the journal before anything happens to the first.
note() { # active/UNIT|enabled/UNIT...
  look "$@" || return 1
  [ ! "$records" ] || record "$records"
}

# Lines for the journal about what is not noted yet: sets records.
look() { # active/UNIT|enabled/UNIT...
  noted=' ' asked='' new=' ' questions='' asked_units='' records=''
  while IFS=$tab read -r kind _ unit; do noted="$noted$kind/$unit "; done <"$journal"
  for word; do
    case $noted in *" $word "*) continue ;; esac
    noted="$noted$word " asked="$asked $word"
    if is_new "${word#*/}"; then new="$new${word#*/} "; fi
  done
  known=' '
  if [ "$new" != ' ' ]; then
    # shellcheck disable=SC2086 # names of units, one word each
    in_memory=$(in_memory $new) || return 1
    for unit in $in_memory; do known="$known$unit "; done
  fi
  for word in $asked; do
    unit=${word#*/}
    case $new in
    *" $unit "*)
      case $known in *" $unit "*) ;; *) records="$records${word%%/*}${tab}no$tab$unit$newline" && continue ;; esac
      ;;
    esac
    questions="$questions $word" asked_units="$asked_units $unit"
  done
  [ ! "$questions" ] || answers || return 1
  records=${records%"$newline"}
}
# What systemd answers, as lines for the journal.
answers() {
  # shellcheck disable=SC2086 # names of units, one word each
  states=$(systemctl show -p ActiveState -p UnitFileState -p InvocationID -- $asked_units) || return 1
  # shellcheck disable=SC2086
  set -- $questions
  active='' file='' invocation=''
  # Blocks in the order of the names, with an empty line after each.
  while IFS= read -r line; do
    case $line in
    ActiveState=*) active=${line#*=} ;;
    UnitFileState=*) file=${line#*=} ;;
    InvocationID=*) invocation=${line#*=} ;;
    '')
      if [ ! "$active" ] || [ "$#" = 0 ]; then break; fi
      # `activating` is what systemd's own restarts of a crashing process look like: it is meant to run, and tries.
      case ${1%%/*}-$active-$file in
      active-activating-*) was=tries ;;
      active-active-* | active-reloading-*) was=yes-$invocation ;;
      enabled-*-enabled) was=yes ;;
      *) was=no ;;
      esac
      records="$records${1%%/*}$tab$was$tab${1#*/}$newline"
      active='' file='' invocation=''
      shift
      ;;
    esac
  done <<END
$states

END
  [ "$#" != 0 ] || return 0
  echo "systemd does not tell the state of ${1#*/}"
  return 1
}
# Whether it is a unit of this fleet that has no file. Asked about such a one by its name, systemd looks for it in all its
# folders, which takes longer than to start a program.
is_new() { # UNIT
  case $1 in "${base##*/}"-*) ;; *) return 1 ;; esac
  for folder in /etc /run /usr/local/lib /usr/lib /lib; do
    for file in "$1" "${1%%@*}@.service"; do
      if [ -e "$folder/systemd/system/$file" ] || [ -L "$folder/systemd/system/$file" ]; then return 1; fi
    done
  done
}
# The units of these that systemd has in mind, whether they have a file or not.
in_memory() { # UNIT...
  listed=$(systemctl list-units --all --full --plain --no-legend -- "$@") || return 1
  printf '%s\n' "$listed" | while read -r unit _; do printf '%s\n' "$unit"; done
}

# Refuses when a path is no longer as the plan saw it.
still() { # PATH absent|DIGEST|-> TARGET
  case $2 in
  absent) [ ! -e "$1" ] && [ ! -L "$1" ] && return 0 ;;
  '-> '*) [ -L "$1" ] && [ "$(readlink -- "$1")" = "${2#-> }" ] && return 0 ;;
  *) [ -f "$1" ] && [ ! -L "$1" ] && live=$(sha256sum -- "$1") && [ "${live%% *}" = "$2" ] && return 0 ;;
  esac
  echo "$1 is no longer as it was when this was planned; plan again"
  return "$overtaken"
}

# It comes with its rights.
install_file() { # PAYLOAD PATH
  { [ -d "${2%/*}" ] || mkdir -p -- "${2%/*}"; } &&
    cp --remove-destination --preserve=mode,ownership -T -- "$payload/$1" "$2.evenkeel-new" &&
    sync "$2.evenkeel-new" && mv -fT -- "$2.evenkeel-new" "$2" && sync "${2%/*}"
}

# Whether this unit may write to each folder, or to where it would be made. Status 77 (EX_NOPERM): the host does not let
# it, whatever is to be written.
writable() { # FOLDER...
  for folder; do
    while [ ! -e "$folder" ] && [ "${folder%/*}" ]; do folder=${folder%/*}; done
    [ -w "$folder" ] && continue
    echo "$own_unit cannot write to $folder on this host, whatever is deployed"
    return 77
  done
}

# Takes the instance for this deployment. MANIFEST is the digest it must have, or `absent`; `payload/manifest` owns what is
# there and what is to come. NOTES are of units, one word each; into the folders it writes.
begin() { # MANIFEST NOTES FOLDER...
  expected=$1 notes=$2
  shift 2
  writable "$base" "$@" || return
  newest=0
  open=$name
  [ -e "$base/generation" ] && read -r newest <"$base/generation"
  [ -e "$base/open" ] && read -r open <"$base/open"
  # More digits than a shell counts with would switch the comparison off.
  case $newest in
  '' | *[!0-9]* | ????????????????*)
    echo "$base/generation holds no generation; log in there, write the last true one to it, and plan again"
    return "$overtaken"
    ;;
  esac
  if [ "$newest" -gt "$generation" ]; then
    echo "this instance has seen generation $newest; generation $generation is older; plan again"
    return "$overtaken"
  fi
  if [ "$open" != "$name" ]; then
    echo "deployment $open was begun here, and is neither finished nor undone; plan again"
    return "$overtaken"
  fi
  if [ -e "$base/deployments/$name/undoing" ]; then
    echo "deployment $name has been undone here meanwhile; plan again"
    return "$overtaken"
  fi
  still "$base/manifest" "$expected" || return
  # The key of the digests in the manifest: another one would tell other digests.
  if [ -e "$payload/key" ] && [ -e "$base/key" ] && ! cmp -s -- "$payload/key" "$base/key"; then
    echo "$base/key was made by another deployment meanwhile; plan again"
    return "$overtaken"
  fi
  mkdir -p "$directory/kept" "$directory/new" || return 1
  # One that goes on after its end, as a recovery may have it, is finished no more.
  finished=$base/deployments/$name/finished
  [ ! -e "$finished" ] || { rm -f -- "$finished" && sync "${finished%/*}"; } || return 1
  prepare_base && take_base
}
# Writes what the base is to hold, and keeps its manifest: all of it synced by one call, also what this phase was unpacked to.
prepare_base() {
  set -- "$payload/manifest"
  [ ! -e "$payload/key" ] || set -- "$@" "$payload/key"
  cp --preserve=mode,ownership -t "$directory/new" -- "$@" || return 1
  printf '%s\n' "$generation" >"$directory/new/generation" && printf '%s\n' "$name" >"$directory/new/last" &&
    printf '%s\n' "$name" >"$directory/new/open" && : >"$journal" || return 1
  manifest_was="absent$tab-$tab$base/manifest"
  set -- "$directory/new"/* "$directory/new" "$journal" "$directory" "$base/deployments/$name"
  if [ -e "$base/manifest" ]; then
    cp -a -T -- "$base/manifest" "$directory/kept/manifest" || return 1
    manifest_was="kept${tab}manifest$tab$base/manifest"
    set -- "$@" "$directory/kept/manifest" "$directory/kept"
  fi
  sync "$@"
}
# What `open` names could not be undone where `last` named another one: `last` must last before it, and both before the
# journal has a line. The journal, and the key, must last before the manifest.
take_base() {
  set -- "$directory/new/generation" "$directory/new/last"
  [ ! -e "$directory/new/key" ] || [ -e "$base/key" ] || set -- "$@" "$directory/new/key"
  mv -f -t "$base" -- "$@" && sync "$base" && mv -f -t "$base" -- "$directory/new/open" && sync "$base" || return 1
  # shellcheck disable=SC2086 # one word each
  look $notes && record "$manifest_was" ${records:+"$records"} &&
    mv -f -t "$base" -- "$directory/new/manifest" && sync "$base"
}

disown() { install_file "$1" "$base/manifest"; } # PAYLOAD

# Folders from the outermost on: once nobody else can write to one, nobody can put a link in the place of what lies in it.
mend_folder() { # PATH MODE
  [ -d "$1" ] && [ ! -L "$1" ] && chown -h root -- "$1" && chmod "$2" -- "$1" && return 0
  echo "$1 is no folder; plan again"
  return "$overtaken"
}

# The manifest has been written anew by then.
seal() { [ ! -e "$base/key" ] || { chown -- root:root "$base/key" && chmod -- 0600 "$base/key"; }; }

# The last phase here is done. Of older deployments the ten newest are kept.
finish() { # KEEP
  : >"$base/deployments/$name/finished" && sync "$base/deployments/$name" || return 1
  rm -rf -- "$base/open" "$base/deployments/$name/reserve" "$base/deployments/$name/reserved-files" \
    "$base/deployments/$name"/*/payload "$base/deployments/$name"/*/new && sync "$base" || return 1
  set -- "$1" "$base/deployments"/*
  # shellcheck disable=SC2012 # the names there are ours: digits, letters, hyphens
  [ "$#" -le 11 ] || ls -1t "$base/deployments" | tail -n +11 | while read -r old; do
    [ "$old" = "$name" ] || rm -rf -- "${base:?}/deployments/${old:?}"
  done
  collect_releases "$1"
  # A virtual environment stays while the manifest or a deployment that is kept names it: to go back to it
  # takes no network.
  [ ! -e "$base/venvs/.new" ] || rm -rf -- "${base:?}/venvs/.new"
  for venv in "$base"/venvs/*; do
    [ ! -e "$venv" ] || grep -qrsF -- "${venv##*/}" "$base/manifest" "$base/deployments" || rm -rf -- "$venv"
  done
}
