# What apply.sh does to install packages.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# Who holds a lock of dpkg or apt: `COMMAND (pid N)`, nothing where it is free. Source of the fields: proc_locks(5);
# `->` waits for a lock.
lock_holder() {
  locks=" $(stat -c %i -- /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \
    /var/cache/apt/archives/lock 2>/dev/null | tr '\n' ' ')"
  while read -r _ kind _ _ pid place _; do
    case $kind-$locks in '->'*) ;; *" ${place##*:} "*)
      read -r holder 2>/dev/null <"/proc/$pid/comm" || continue
      echo "$holder (pid $pid)"
      return
      ;;
    esac
  done </proc/locks
}
# Waits until nobody holds a lock of dpkg or apt; `id` is the step that says so.
wait_for_dpkg() {
  waited=0 told=
  while holder=$(lock_holder) && [ "$holder" ]; do
    if [ "$waited" -ge 120 ]; then
      echo "dpkg or apt has been locked for $waited s by $holder, so nothing was installed; see what it does there; plan again"
      return 1
    fi
    [ "$holder" = "$told" ] || say waiting "$id" "the lock of dpkg and apt, which $holder holds"
    told=$holder waited=$((waited + 1))
    sleep 1
  done
}

# apt tells first what it is about to do; what stands against it begins with one of these.
apt_words() { # SAID
  printf '%s\n' "$1" | sed -n '/^\(E:\|dpkg:\)/,$p' | grep . || printf '%s\n' "$1"
}

install_packages() {
  # The messages that are looked for below; not LC_ALL, which packages may take their own settings from.
  export DEBIAN_FRONTEND=noninteractive LC_MESSAGES=C LANGUAGE=C
  wait_for_dpkg || return 1
  asked="$*" number=$# lists=''
  # A name is a name: apt takes `a.c` for a pattern, too, when there is no such package.
  # A configuration file that is there already stays: nobody is here to be asked.
  set -- apt-get install -y -q --no-install-recommends -o APT::Cmd::Pattern-Only=true -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- "$@"
  said=$("$@" 2>&1) && return 0
  # What dpkg did not manage a newer list does not mend.
  case $said in
  *'Sub-process /usr/bin/dpkg'* | *'dpkg was interrupted'*) ;;
  *)
    if lists=$(apt-get update -q 2>&1); then
      said=$("$@" 2>&1) && return 0
    else
      said=$(apt_words "$said")"
"$(apt_words "$lists")
    fi
    ;;
  esac
  # What fails may be another package, which an earlier installation left half-way.
  # shellcheck disable=SC2086,SC2016 # names of packages, one word each; dpkg expands the format
  installed=$(dpkg-query -W -f '${db:Status-Status}\n' -- $asked 2>/dev/null | grep -cx installed)
  [ "$installed" != "$number" ] || return 0
  apt_words "$said"
  case $said in
  *'Could not get lock'* | *'Unable to acquire the dpkg'* | *'Unable to lock'*)
    echo "somebody else installs there, so nothing was installed; plan again"
    return 1
    ;;
  *'dpkg was interrupted'*)
    echo "dpkg was interrupted there before; 'sudo dpkg --configure -a' ends that, or says why not; plan again"
    return 1
    ;;
  esac
  half=$(dpkg --audit 2>&1)
  if [ "$half" ]; then
    echo "dpkg is left half-way, which no undo changes; 'sudo dpkg --configure -a' ends it, or says why not:"
    printf '%s\n' "$half"
  fi
  # Those that no list has, once a newer one could be had, and those that exclude one another.
  case $lists$said in
  *'Could not get lock'* | *'Failed to fetch'*) return 1 ;;
  *'Unable to locate package'* | *'has no installation candidate'* | *'have unmet dependencies'*) return "$of_commit" ;;
  esac
  return 1
}
