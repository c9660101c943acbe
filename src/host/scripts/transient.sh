# Has systemd run a script of ours as a unit. Set before: unit, limit (in seconds).
# shellcheck disable=SC2154 # variables that are set before

# Its name excludes a second one: one that is ending, or undoing itself, is waited for. Ends with 75 (EX_TEMPFAIL) where
# one runs. What changes how programs read their arguments or print is not set there; a host may set it for all services.
run_as_unit() { # ENDED, which systemd runs after it, or nothing; SCRIPT; its ARGUMENT, or none
  tries=0
  until systemd-run --quiet --collect --unit="$unit" -p Type=exec -p RuntimeMaxSec="$limit" -p TimeoutStopSec=300 \
    -p UnsetEnvironment='POSIXLY_CORRECT BLOCK_SIZE BLOCKSIZE DF_BLOCK_SIZE DU_BLOCK_SIZE QUOTING_STYLE TIME_STYLE TAR_OPTIONS GREP_OPTIONS' \
    ${1:+-p "ExecStopPost=$1"} -- /bin/sh "$2" ${3:+"$3"}; do
    case $(systemctl show --value -p ActiveState "$unit") in
    active | activating | reloading) exit 75 ;;
    deactivating) ;;
    *) tries=$((tries + 1)) && [ "$tries" -lt 20 ] || exit 1 ;;
    esac
    sleep 0.05
  done
}
runs() { case $(systemctl show --value -p ActiveState "$unit") in active | activating | deactivating | reloading) ;; *) false ;; esac; }
