# Packages, and where deployments stand; the end of the probe, after probe.sh.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
#
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

generation=0
[ -e "$base/generation" ] && read -r generation <"$base/generation"
section generation "$generation"
open=
[ -e "$base/open" ] && read -r open <"$base/open"
section unfinished "$open"

section end ''
printf %s "$answer"
