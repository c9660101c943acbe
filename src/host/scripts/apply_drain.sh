# How apply.sh waits for requests that nginx has led to a replica. nginx leads none there any more by then. After drain.sh.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# What goes on for longer than may be waited for is cut, and told; what cannot be told may be under way.
drain() { # PORT SECONDS ADDRESS...
  drained "$@" || say waiting "$id" "$left connections of nginx to port $1, which are cut after $2 s"
}
