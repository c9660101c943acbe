# Makes virtual environments, as a step of a phase. Goes with apply.sh and venv.sh.
# Never half a one: it is made beside its place, where nothing looks for it, noted as whole, synced and renamed.
# What it is made in calls that folder by the name of the last place, for a virtual environment holds its own path.
# shellcheck disable=SC2154 # variables that are set before

# Packages may run code of their own while they are installed: they do as a user that exists for this alone,
# who can write nothing but what is made, and whose processes end with it.
# Values reach systemd-run as they were checked while declaring, without `$` and `%`.
build_venv() { # SERVICE KEY INTERPRETER REQUIREMENTS INDEX NETRC PROGRAM...
  make_venv "$@" || return
  programs=$base/venvs/$2/bin service=$1 requirements=${4##*/}
  shift 6
  for program; do
    [ ! -e "$programs/$program" ] || continue
    echo "what $requirements installs has no program $program, which service/$service starts; name the package that brings it there"
    return "$of_commit"
  done
}

make_venv() { # SERVICE KEY INTERPRETER REQUIREMENTS INDEX NETRC
  venvs=$base/venvs
  new=$venvs/.new
  if ! kind=$(venv_kind "$3"); then
    echo "$3, with which service/$1 is to run, does not start: $kind"
    return 1
  fi
  # Another service, or an earlier attempt, may have made it.
  if made=$(cat "$venvs/$2/made" 2>/dev/null) && [ "$made" = "$(venv_made "$venvs/$2" "$kind")" ]; then return 0; fi
  if [ -n "$6" ] && [ ! -f "$6" ]; then
    echo "$6, where the credentials of service/$1's index should be, is no file; put it there"
    return 1
  fi
  # What was cut off ends with the step that began it, and may take a moment to.
  systemctl stop --quiet -- "evenkeel-${base##*/}-venv.service" 2>/dev/null
  rm -rf -- "$new" && mkdir -p -- "$venvs" && mkdir -m 0700 -- "$new" && mkdir -m 0777 -- "$new/in" || return 1
  if ! said=$(in_sandbox "$@" 2>&1); then
    echo "no virtual environment could be made of $4 for service/$1:"
    printf '%s\n' "$said" | tail -n 12
    # shellcheck disable=SC2016 # the backticks are for people
    case $said in *ensurepip*) echo 'declare `packages: [python3-venv]` for the instance, or install it' ;; esac
    # Of a disk that is full `step` speaks, before there is room again.
    room=$(df -k --output=avail -- "$base" | tail -n 1)
    rm -rf -- "$new"
    if [ "${room:-0}" -lt 64 ]; then
      echo "(the disk of $base was full)"
      return 1
    fi
    # pip says the same of what an index does not have and of an index that does not answer, but for its warnings.
    case $said in
    *'connection broken by'* | *'Could not fetch URL'* | *'Read timed out'* | *'Server Error'* | *'Too Many Requests'*) return 1 ;;
    *'ERROR: '*) return "$of_commit" ;;
    esac
    return 1
  fi
  made=$new/in/$2
  chown -hR -- root:root "$made" && chmod -R -- a-s,a+rX,go-w "$made" &&
    venv_made "$made" "$kind" >"$new/made" && mv -fT -- "$new/made" "$made/made" && sync -f "$made" || return 1
  renewed "$2" || return 1
  if [ -e "$venvs/$2" ]; then mv -T -- "$venvs/$2" "$new/old" || return 1; fi
  mv -T -- "$made" "$venvs/$2" && sync "$venvs" && rm -rf -- "$new"
}

# Notes which units run from what lay there, if any: when this is undone, the new one stays, and the manifest must
# not say that they were started from it.
renewed() { # KEY
  awk -F '\t' '$1 == "unit" { print $4 }' "$base/manifest" | while read -r unit; do
    environment=${unit#"${base##*/}-"}
    environment=/etc/evenkeel/${base##*/}/${environment%.service}.env
    ! grep -qsF -- "/venvs/$1/" "/etc/systemd/system/$unit" "$environment" || printf '%s\n' "$unit"
  done >>"$directory/renewed" && sync "$directory/renewed"
}

in_sandbox() { # SERVICE KEY INTERPRETER REQUIREMENTS INDEX NETRC
  systemd-run --quiet --pipe --wait --collect --unit="evenkeel-${base##*/}-venv" \
    -p BindsTo="evenkeel-${base##*/}.service" -p DynamicUser=yes -p RuntimeMaxSec=840 \
    -p "BindPaths=$venvs/.new/in:$venvs" -p "ReadWritePaths=$venvs" ${6:+-p "LoadCredential=netrc:$6"} \
    -- /bin/sh -s -- "$venvs" "$2" "$3" "$4" "$5" <<'MAKE'
set -e
venv=$1/$2
export HOME="$1/home" TMPDIR="$1/tmp" PIP_CONFIG_FILE=/dev/null
mkdir "$HOME" "$TMPDIR"
if [ -n "${CREDENTIALS_DIRECTORY:-}" ]; then export NETRC="$CREDENTIALS_DIRECTORY/netrc"; fi
"$3" -I -m venv "$venv" </dev/null
exec "$venv/bin/python" -I -m pip install --no-input --disable-pip-version-check --no-cache-dir \
  --progress-bar off --timeout 15 --retries 2 ${5:+--index-url "$5"} --requirement "$4" </dev/null
MAKE
}
