# Whether requests that nginx has led to a port are under way. Before undo.sh, and before apply_drain.sh.
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

# Waits until nothing is under way for 300 ms on end, for so many seconds at most: one look proves little, for a request may
# come late from a connection that an old worker had accepted. 1: something is left, or it cannot be told; `left` says how
# much.
drained() { # PORT SECONDS ADDRESS...
  drained=$1 limit=$2
  shift 2
  set -- "$drained" "$@"
  read -r began _ </proc/uptime
  began=${began%.*} quiet=0
  while [ "$quiet" -lt 4 ]; do
    left=$(connections "$@") || left=unknown
    if [ "$left" = 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    read -r now _ </proc/uptime
    [ "$left" = 0 ] || [ $((${now%.*} - began)) -lt "$limit" ] || return 1
    sleep 0.1
  done
}
