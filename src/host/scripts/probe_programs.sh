# nginx, certificates, programs and interpreters of the host. Part of the probe, after probe.sh; with interpreters after
# venv.sh, with a digest_port after nginx.sh.
#
# shellcheck disable=SC2154,SC2086 # variables that are set before; lists of checked names, split on purpose
#
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

