# How apply.sh waits for requests that nginx has led to a replica. nginx leads none there any more by then.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# How many connections nginx has to a port; 1: it cannot be told. Source of the columns: ss(8) without a header and with one
# state; an address of IPv4 on a socket of IPv6 is `[::ffff:ADDRESS]`.
connections() { # PORT ADDRESS...
  established=$(ss -Htn state established "( sport = :$1 )" 2>/dev/null) || return 1
  shift
  printf '%s\n' "$established" | while read -r _ _ _ peer _; do
    peer=${peer%:*}
    peer=${peer#[}
    peer=${peer%]}
    peer=${peer#::ffff:}
    for address; do
      [ "$peer" != "$address" ] || echo "$peer"
    done
  done | wc -l
}

# One look proves little: a request may come late from a connection that an old worker had accepted. So nothing has to be
# under way for 300 ms on end. What goes on for longer than may be waited for is cut, and told; what cannot be told may be
# under way.
drain() { # PORT SECONDS ADDRESS...
  drained=$1 limit=$2
  shift 2
  set -- "$drained" "$@"
  read -r began _ </proc/uptime
  began=${began%.*} quiet=0
  while [ "$quiet" -lt 4 ]; do
    left=$(connections "$@") || left=unknown
    if [ "$left" = 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    read -r now _ </proc/uptime
    if [ "$left" != 0 ] && [ $((${now%.*} - began)) -ge "$limit" ]; then
      say waiting "$id" "$left connections of nginx to port $1, which are cut after $limit s"
      return 0
    fi
    sleep 0.1
  done
}
