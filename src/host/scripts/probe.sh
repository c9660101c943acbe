# What is live on this host, in one go. Set before: base, paths (one a line), units, users, packages,
# releases, venvs, interpreters, ports (separated by spaces), certificates (`CERTIFICATE<tab>KEY` a line), fleet,
# digest_port (empty: nginx is no business of ours; else after nginx.sh), nginx_digest, site_address, site_proofs;
# programs (one a line: a path, or a name that systemd looks for), executes (yes: some start what they bring along),
# packages_said and packages_database (what an earlier answer said of the very same packages, and of which state of
# dpkg's database); own_unit (in which evenkeel works here), folders (one a line), drop_ins and drop_in_bytes (how many
# drop-ins are read, and how much of each). After drop_ins.sh and way_in.sh; with interpreters, after venv.sh.
# Answers in sections `NAME LENGTH`, a line break, so many bytes, a line break. A part that cannot be
# told is a section `?NAME` with the reason.
#
# To start a program takes longer than all that the shell does by itself. So each program is started at
# most once, for everything it is to tell, and what the shell can read or find out it does.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
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

# Units: blocks in the order of their names. Drop-ins are other words in that answer; those with a blank in their
# names are told in quotes, and not read. Where systemd has not read what is on disk, the drop-ins there are told too.
directories=
changing=$newline
unread=
if [ "$units" ]; then
  section units "$units"
  asks systemctl
  states=$(systemctl show -p LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,Result,ExecMainStatus \
    -p FragmentPath,DropInPaths,NeedDaemonReload -- $units 2>&1) && known=yes || known=
  if [ "$known" ]; then
    section states "$states"
    set -- $units
    # Of what systemd had to start again, since when it runs. Either of the two may come first.
    process='' restarts='' ages=''
    for word in $states; do
      case $word in
      MainPID=*)
        process=${word#MainPID=}
        [ "$process" = 0 ] || directories="$directories$newline/proc/$process/cwd"
        ;;
      NRestarts=*) restarts=${word#NRestarts=} ;;
      DropInPaths=/* | /*.conf)
        word=${word#DropInPaths=}
        case $changing in *"$newline$word$newline"*) ;; *) changing=$changing$word$newline ;; esac
        continue
        ;;
      NeedDaemonReload=*)
        if [ "$word" = NeedDaemonReload=yes ]; then
          set +f
          drop_ins_on_disk "$1"
          set -f
          unread="$unread$newline$1$found"
          changing="$changing${found#"$newline"}$newline"
        fi
        [ $# = 0 ] || shift
        continue
        ;;
      *) continue ;;
      esac
      if [ ! "$process" ] || [ ! "$restarts" ]; then continue; fi
      if [ "$process" != 0 ] && [ "$restarts" != 0 ]; then
        { read -r stat <"/proc/$process/stat" && ages="$ages$newline$process ${stat##*) }"; } 2>/dev/null
      fi
      process='' restarts=''
    done
    section unread "$unread"
    if [ "$ages" ]; then
      read -r uptime _ </proc/uptime
      section ages "$uptime$ages"
    fi
  else
    section '?states' "$states"
  fi
fi

# The unit that carries a deployment out is there only while it does.
set +f
drop_ins_on_disk "$own_unit"
set -f
section own-drop-ins "${found#"$newline"}"
changing="$changing${found#"$newline"}$newline"

# What drop-ins set.
seen=$newline
IFS=$newline
for path in $changing; do
  case $seen in *"$newline$path$newline"*) continue ;; esac
  [ "$drop_ins" -gt 0 ] || break
  case $path in *' '*) continue ;; esac
  if [ -f "$path" ]; then
    seen=$seen$path$newline drop_ins=$((drop_ins - 1))
    section "drop-in$path" "$(head -c "$drop_in_bytes" -- "$path" 2>/dev/null)"
  fi
done
unset IFS

# Files: type and mode, owner, name, where a link points; the working directories of units are links too.
# What is absent stat says so of. Nowhere else standard error lies among answers: a library that cannot be preloaded,
# say, has every program complain there.
asks stat
IFS=$newline
section files "$(QUOTING_STYLE=literal stat -c '%f %U:%G %N' -- $paths "$base/manifest" "$base/key" $folders $directories 2>&1)"
set --
for path in $paths "$base/manifest" "$base/key"; do
  if [ -f "$path" ] && [ ! -L "$path" ]; then set -- "$@" "$path"; fi
done
# A certificate is somebody else's, and as a rule a link to the newest one.
for pair in $certificates; do
  if [ -f "${pair%%"$tab"*}" ]; then set -- "$@" "${pair%%"$tab"*}"; fi
done
if [ $# != 0 ]; then section digests "$(sha256sum -- "$@" 2>/dev/null)"; fi
unset IFS

# Who listens, and in which control group (which names its unit) each listener's process is. Hosts with
# several hierarchies have a line for each; those of systemd say the same.
asks ss
if listeners=$(ss -Hltnp 2>/dev/null); then
  section listeners "$listeners"
  seen=' '
  groups=
  rest=$listeners
  while :; do
    case $rest in *pid=*) rest=${rest#*pid=} ;; *) break ;; esac
    pid=${rest%%[!0-9]*}
    case $seen in *" $pid "*) continue ;; esac
    seen="$seen$pid "
    # A process that has gone meanwhile has no group.
    while IFS= read -r line; do
      case $line in 0::/?* | *:name=systemd:/?*) groups="$groups$pid ${line#*:*:}$newline" && break ;; esac
    done 2>/dev/null <"/proc/$pid/cgroup"
  done
  section groups "$groups"

  # Who holds a port that is asked about, and is not the unit that should: its command, when it began, and which programs
  # its unit runs. Only there, for this takes programs.
  strangers=
  IFS=$newline
  for line in $listeners; do
    unset IFS
    set -- $line
    case " $ports " in *" ${4##*:} "*) ;; *) continue ;; esac
    case $line in *pid=*) pid=${line#*pid=} pid=${pid%%[!0-9]*} ;; *) continue ;; esac
    group=$newline$groups
    case $group in *"$newline$pid "*) group=${group#*"$newline$pid "} group=${group%%"$newline"*} ;; *) group= ;; esac
    case ${group##*/} in
    nginx.service | *"@${4##*:}.service") case " $units " in *" ${group##*/} "*) continue ;; esac ;;
    esac
    case $strangers in *"$newline$pid$tab"*) continue ;; esac
    stat='' command=''
    { read -r stat <"/proc/$pid/stat" && command=$(head -c 1000 "/proc/$pid/cmdline" | tr '\0\n\t' '   '); } 2>/dev/null
    strangers="$strangers$newline$pid$tab${stat##*) }$tab$command$tab"
    for processes in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
      processes=$processes$group/cgroup.procs number=0
      if [ ! "$group" ] || [ ! -r "$processes" ]; then continue; fi
      while read -r process && number=$((number + 1)) && [ $number -le 200 ]; do
        read -r program <"/proc/$process/comm" && strangers="$strangers$program/"
      done 2>/dev/null <"$processes"
      break
    done
  done
  unset IFS
  if [ "$strangers" ]; then
    read -r uptime _ </proc/uptime
    section strangers "$uptime$strangers"
  fi
else
  section '?listeners' "$(ss -Hltnp 2>&1 >/dev/null) (package iproute2 has ss)"
fi

way_in
section way "$way"

# nginx: installed, the digest of the configuration that it really serves, and whether each site's own server answers in
# its name. Only where something is not as it should be its files are read.
if command -v nginx >/dev/null; then
  if [ -d /var/log/nginx ]; then section nginx installed; else section nginx 'installed no-log-folder'; fi
  if [ "$digest_port" ]; then
    asks nginx
    said=$(ask_nginx "$fleet" "$digest_port" "$site_address" "$site_proofs" 2>/dev/null)
    first=${said%%"$newline"*}
    case $first in
    'digest answered '*) section digest "${first#digest answered }" ;;
    'digest refused') section digest '' ;;
    *) section '?digest' "no answer on 127.0.0.1:$digest_port: $first" ;;
    esac
    section sites "${said#*"$newline"}"
    case $said$newline in
    "digest answered $nginx_digest$newline"*)
      case $said in *' other'* | *' silent'* | *' refused'*) section nginx-files "$(read_nginx)" ;; esac
      ;;
    *) section nginx-files "$(read_nginx)" ;;
    esac
  fi
else
  section nginx ''
fi

# Certificates: whether both files are there, whether they belong together, until when and for which names. What a key
# holds stays here: it is compared by its public half, which the certificate has, too. openssl takes one
# file at a time.
if [ "$certificates" ]; then
  asks openssl
  lies() { if [ ! -e "$1" ]; then echo absent; elif [ -f "$1" ] && [ -r "$1" ]; then echo there; else echo unreadable; fi; }
  pairs=
  IFS=$newline
  for pair in $certificates; do
    certificate=${pair%%"$tab"*} key=${pair#*"$tab"} checked=-
    lie="$(lies "$certificate") $(lies "$key")"
    if [ "$lie" = 'there there' ]; then
      if ! command -v openssl >/dev/null; then
        checked=no-openssl
      elif ! said=$(openssl x509 -in "$certificate" -noout -enddate -pubkey -subject -nameopt RFC2253 -ext subjectAltName 2>/dev/null </dev/null); then
        checked=no-certificate
      elif ! public=$(openssl pkey -in "$key" -passin pass: -pubout 2>/dev/null </dev/null); then
        checked=no-key
      else
        case $said in *"$public"*) checked=same ;; *) checked=other ;; esac
        names=
        for line in $said; do
          case $line in
          notAfter=*) checked="$checked ${line#notAfter=}" ;;
          subject=*) [ "$names" ] || names=$line ;;
          *DNS:*) names=$line ;;
          esac
        done
        checked=$checked$tab$names
      fi
    fi
    pairs="$pairs$pair$tab$lie $checked$newline"
  done
  unset IFS
  section now "$(date +%s)"
  section certificates "$pairs"
fi

# Programs that services start: a path, or a name that is looked for where systemd does. Links are followed.
if [ "$programs" ]; then
  said=
  IFS=$newline
  for program in $programs; do
    state=absent
    for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
      case $program in /*) place=$program ;; *) place=$folder/$program ;; esac
      if [ -f "$place" ] && [ -x "$place" ]; then
        state=there
        break
      fi
      if [ -e "$place" ]; then state=unfit; fi
    done
    said="$said$state $program$newline"
  done
  unset IFS
  section programs "$said"
fi

# Whether what services bring along can be started where it lies or will lie. Source of the fields: proc_pid_mountinfo(5).
if [ "$executes" ]; then
  said=
  for folder in releases venvs; do
    place=$base/$folder mount='' flags=''
    until [ ! "$place" ] || [ -d "$place" ]; do place=${place%/*}; done
    place=$(cd -P -- "$place/" && pwd -P)
    while read -r _ _ _ _ on options _; do
      case ${place%/}/ in "${on%/}/"*) [ ${#on} -lt ${#mount} ] || mount=$on flags=$options ;; esac
    done </proc/self/mountinfo
    case ,$flags, in *,noexec,*) said="$said$folder $mount$newline" ;; esac
  done
  section noexec "$said"
fi

# Virtual environments, and the interpreters that they are made with: of each what kind it is. `fails` comes
# with the last line of what an interpreter said.
if [ "$interpreters" ]; then
  asks python
  said=
  for interpreter in $interpreters; do
    if [ ! -e "$interpreter" ]; then
      said="$said$interpreter absent$newline"
    elif kind=$(venv_kind "$interpreter"); then
      said="$said$interpreter is ${kind##*"$newline"}$newline"
    else
      said="$said$interpreter fails ${kind##*"$newline"}$newline"
    fi
  done
  section interpreters "$said"
  said=
  for venv in $venvs; do
    if [ ! -e "$base/venvs/$venv" ]; then
      said="$said$venv absent$newline"
    elif made=$(cat "$base/venvs/$venv/made" 2>/dev/null) && [ "$made" = "$(venv_made "$base/venvs/$venv" "${made%% *}")" ]; then
      said="$said$venv whole ${made%% *}$newline"
    else
      said="$said$venv damaged$newline"
    fi
  done
  section venvs "$said"
fi

# dpkg-query reads all of its database, and says the same for as long as that looks the same: dpkg replaces
# `status`, and notes in `updates` what is not in there yet. Looked at before it is asked, so that what changes
# meanwhile is asked about again.
# 1: some are not known to dpkg. More: it could not tell.
if [ "$packages" ]; then
  asks dpkg-query
  database=$(stat -c '%i %s %y %z' /var/lib/dpkg/status /var/lib/dpkg/updates 2>/dev/null) || database=
  if [ "$database" ] && [ "$database" = "$packages_database" ]; then
    installed=$packages_said
    section packages "$installed"
  else
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' -- $packages 2>/dev/null)
    case $? in
    0 | 1) section packages "$installed" ;;
    127) section '?packages' 'dpkg-query is not there: only Debian packages are known' ;;
    *) section '?packages' 'dpkg-query could not tell' ;;
    esac
  fi
  section packages-database "$database"
  # Only where something is to be installed: whether apt can, from its lists as they are, and what dpkg left half-way.
  missing=
  for package in $packages; do
    case $newline$installed in *"${newline}installed $package "*) ;; *) missing="$missing $package" ;; esac
  done
  if [ "$missing" ]; then
    asks apt-get
    section dpkg-half "$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | grep '^half-\|^unpacked ')"
    section dpkg-updates "$(ls /var/lib/dpkg/updates 2>/dev/null)"
    simulated=$(timeout 10 apt-get -s -q -y -o Debug::NoLocking=true -o APT::Cmd::Pattern-Only=true \
      --no-install-recommends install -- $missing 2>&1)
    case $? in
    0) section simulated '' ;;
    124) ;;
    *) section simulated "$(printf '%s\n' "$simulated" | sed -n '/^E:/,$p')" ;;
    esac
  fi
fi
# 2: some are not there.
if [ "$users" ]; then
  asks getent
  found=$(getent passwd -- $users)
  case $? in 0 | 2) section users "$found" ;; *) section '?users' 'getent passwd does not answer' ;; esac
fi

# Releases: `DIGEST whole|there|touched|changed` a line. What looks as it did when every byte was checked is not
# read again.
# Reading gigabytes takes longer than a look may: of such a release it is told that it was touched, and it is read
# when it is staged anew.
readable() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print (sum < 2147483648) }'; }
asks releases
due="" directories="" signatures="" seen=""
for digest in $releases; do
  [ -d "$base/releases/$digest" ] || continue
  case " $spared " in
  *" $digest "*) seen="$seen$digest there$newline" ;;
  *)
    due="$due $digest" directories="$directories $base/releases/$digest"
    signatures="$signatures $base/listings/$digest.signature"
    ;;
  esac
done
# Compared as they come: together they are megabytes.
untouched=
if [ "$due" ] && cat -- $signatures 2>/dev/null | { signature $directories 3<&- | cmp -s - /dev/fd/3; } 3<&0; then
  untouched=yes
fi
for digest in $due; do
  directory=$base/releases/$digest listing=$base/listings/$digest
  if [ "$untouched" ] || [ "$(signature "$directory")" = "$(cat -- "$listing.signature" 2>/dev/null)" ]; then
    state=whole
  elif [ -e "$listing" ] && [ "$(readable "$directory")" = 1 ] && [ "$(differing "$listing" "$directory")" ]; then
    state=changed
  else
    state=touched
  fi
  seen="$seen$digest $state$newline"
done
section releases "$seen"

generation=0
[ -e "$base/generation" ] && read -r generation <"$base/generation"
section generation "$generation"
open=
[ -e "$base/open" ] && read -r open <"$base/open"
section unfinished "$open"

section end ''
printf %s "$answer"
