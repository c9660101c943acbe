# The root shell that stays open on a connection. Reads `ID SCRIPT_SIZE INPUT_SIZE`, then so many bytes
# of script and of input; runs the script on that input; answers with a line `ID STATUS`. `head -c` takes
# no byte too many from the pipe, and what a script leaves of its input is drained.
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022
cd /
while read -r id script_size input_size; do
  script=$(head -c "$script_size")
  head -c "$input_size" | {
    (eval "$script")
    status=$?
    cat >/dev/null
    exit "$status"
  }
  printf '\n%s %s\n' "$id" "$?"
done
