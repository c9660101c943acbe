# How apply.sh has nginx read its files. After nginx.sh.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# Whether none of these workers takes connections any more: for a tenth of a second after a reload the
# old ones do, beside the new, and serve the old configuration.
retired() { # PID...
  for worker in "$@"; do
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$worker/cmdline") in '' | *'shutting down'*) ;; *) return 1 ;; esac
  done 2>/dev/null
}

# Has nginx read its files, and notes which workers serve by older ones.
begin_reload() {
  if ! tested=$(nginx -t 2>&1); then
    echo "$tested"
    case $tested in *" in /etc/nginx/conf.d/evenkeel-${base##*/}-"*) return "$of_commit" ;; esac
    return 1
  fi
  note active/nginx.service && record "nginx$tab-${tab}nginx.service" || return 1
  main=$(systemctl show --value -p MainPID nginx.service)
  old_workers=$(cat "/proc/$main/task/$main/children" 2>/dev/null)
  if systemctl is-active --quiet nginx.service; then systemctl reload nginx.service; else systemctl start nginx.service; fi
}

# A reload counts only when the loopback server answers the new digest: nginx can answer success to
# `-t` and to a reload and go on serving the old configuration. And only when each site is answered by its own server:
# one of somebody else may have its name, its address or, of a site without a name, all others.
reload_nginx() { # DIGEST PORT ADDRESS PROOFS
  begin_reload || return
  tries=0
  while [ "$tries" -lt 200 ]; do
    # shellcheck disable=SC2086 # process ids, one word each
    if [ "$(ask_nginx "${base##*/}" "$2" '' '')" = "digest answered $1" ] && retired $old_workers; then
      sites_are_ours "$3" "$4"
      return
    fi
    tries=$((tries + 1))
    sleep 0.05
  done
  echo "nginx accepted the reload and goes on serving its old configuration"
  tail -n 5 /var/log/nginx/error.log
  return 1
}

# Has nginx lead ports of services to the copies that their files name by now, or leave them. It counts when nginx answers
# so at each of them, and no older worker takes connections.
switch_ports() { # ADDRESS PROOFS `SECONDS OLD NEW`..., for undoing: what is under way at port NEW may go on for so long
  address=$1 proofs=$2
  shift 2
  for ports; do record "led$tab${ports%% *}$tab${ports#* }" || return 1; done
  begin_reload || return
  tries=0
  while [ "$tries" -lt 200 ]; do
    # shellcheck disable=SC2086 # process ids, one word each
    if retired $old_workers; then
      not_led=$(ask_nginx "${base##*/}" '' "$address" "$proofs" | grep -v ' own$') || return 0
    fi
    tries=$((tries + 1))
    sleep 0.05
  done
  printf '%s\n' "${not_led:-}" | while read -r _ port state; do
    case $state in
    '') echo "nginx accepted the reload, and older workers go on taking connections" ;;
    refused) echo "nobody listens on port $port, which nginx is to lead to the new copy" ;;
    *) echo "port $port is not led to the new copy: something else answers there" ;;
    esac
  done
  tail -n 5 /var/log/nginx/error.log
  return 1
}

# Says what answers in the place of each site that is not answered by its own server, with its file.
sites_are_ours() { # ADDRESS PROOFS
  not_ours=$(ask_nginx "${base##*/}" '' "$1" "$2" | grep -v -e ' own$' -e ' unasked$') || return 0
  servers=$(read_nginx | sed -n "/evenkeel-${base##*/}-/d; s/^server //p; /^conflict /p")
  printf '%s\n' "$not_ours" | while read -r site port state; do
    host=$(printf '%s\n' "$2" | awk -v site="$site" '$1 == site { print $2; exit }')
    case $state in
    refused) echo "nobody listens on port $port, where site/$site is asked for $host" ;;
    silent) echo "nothing answers in time on port $port, where site/$site is asked for $host" ;;
    *)
      echo "nginx answers for $host on port $port with another server block than that of site/$site:"
      # Those on this address alone, else those with its name, else those that may take any name.
      printf '%s\n' "$servers" | awk -F '\t' -v host="$host" -v on="${1:-127.0.0.1}:$port" '
        { line = "  " $1 " (listen " $2 "; server_name " $3 ")\n" }
        index("," $2, "," on) { address = address line }
        index(" " $3 " ", " " host " ") { named = named line }
        $2 ~ /default/ || $3 ~ /~/ { any = any line }
        END { printf "%s", address != "" ? address : named != "" ? named : any }' | head -n 5
      ;;
    esac
  done
  return 1
}

release_nginx() {
  if systemctl is-active --quiet nginx.service; then
    nginx -t && record "nginx$tab-${tab}nginx.service" && systemctl reload nginx.service
  fi
}
