# The root shell that stays open on a connection. Reads `ID SCRIPT_SIZE INPUT_SIZE`, then so many bytes
# of script and of input; runs the script on that input; answers with a line `ID STATUS`. `head -c` takes
# no byte too many from the pipe, and what a script leaves of its input is drained. Most scripts have no
# input: for them nothing is started besides. Its environment is set before (`opening.rs`), and holds nothing else.
umask 022
cd /
while read -r id script_size input_size; do
  script=$(head -c "$script_size")
  if [ "$input_size" = 0 ]; then
    (eval "$script") </dev/null
  else
    head -c "$input_size" | {
      (eval "$script")
      status=$?
      cat >/dev/null
      exit "$status"
    }
  fi
  printf '\n%s %s\n' "$id" "$?"
done
