# What apply.sh does with files and links.
# shellcheck disable=SC2154 # variables and functions of apply.sh
# Files and links change, and go, as one group, whose steps are `ID write|remove NUMBER PATH BEFORE`; GROUP_folders calls
# what it is given with each of their folders, as `COMMAND... NUMBER FOLDER`. What is to lie in it comes in
# payload/NUMBER, with its rights. Each pass ends before the next one begins:
# 1. Everything is as it was planned. Nothing has changed yet.
# 2. What lies there is kept and synced, and then the journal says so of all.
# 3. What comes is written beside its place: in a folder that nothing else reads, from where one rename leads there. It is
#    synced, and the journal with it. After a cut before that nothing has changed.
# 4. Removals and renames, in the order of the plan. Of these a cut may leave any done and any not: each path is as before
#    or as planned, never half, of each the journal has what was before, and the manifest has owned them all since 1.
# 5. The folders, so that all this lasts before anything is started from it, and before the manifest disowns.
change_files() {
  # Lists are of paths, one a line.
  set -f
  IFS=$newline
  beside=.evenkeel-new-${base##*/}
  all_as_planned || one_by_one as_planned
  keep_all || one_by_one keep_one
  prepare_all || one_by_one prepare_one
  put_all || one_by_one put_one
  sync_folders || one_by_one sync_one
}

as_planned() { still "$3" "$4"; } # write|remove NUMBER PATH BEFORE
all_as_planned() {
  paths='' digests='' is=''
  "$group" add_digest || return 1
  [ "$paths" ] || return 0
  # shellcheck disable=SC2086 # a list
  sums=$(sha256sum -- $paths) || return 1
  # Before a name with unusual characters stands a backslash.
  for line in $sums; do line=${line%% *} is=$is${line#\\}$newline; done
  [ "$is" = "$digests" ]
}
# Ends with 1 where something that needs no digest is not as planned, or once was not.
add_digest() { # ID write|remove NUMBER PATH BEFORE
  case $5 in
  absent | '-> '*) still "$4" "$5" ;;
  *) [ -f "$4" ] && [ ! -L "$4" ] && paths=$paths$4$newline digests=$digests$5$newline ;;
  esac
}

keep_one() { [ "$1-$4" = remove-absent ] || keep "$3"; } # write|remove NUMBER PATH BEFORE
keep_all() {
  recorded
  records='' synced=''
  "${group}_folders" keep_in || return 1
  # shellcheck disable=SC2086 # a list
  { [ ! "$synced" ] || sync $synced "$directory/kept"; } && { [ ! "$records" ] || printf '%s' "$records" >>"$journal"; }
}
keep_in() { # NUMBER FOLDER
  number=$1 paths=''
  "$group" add_kept
  [ "$paths" ] || return 0
  # shellcheck disable=SC2086 # a list
  mkdir -p -- "$directory/kept/$1" && cp -a -t "$directory/kept/$1" -- $paths && synced=$synced$directory/kept/$1$newline
}
add_kept() { # ID write|remove NUMBER PATH BEFORE
  [ "$3" = "$number" ] || return 0
  case $2-$5$lines in remove-absent* | *"$tab$4$newline"*) return 0 ;; esac
  if [ "$5" = absent ]; then
    records=${records}absent$tab-$tab$4$newline
    return
  fi
  paths=$paths$4$newline records=${records}kept$tab$number/${4##*/}$tab$4$newline
  # A link has no content to sync; its name is its folder's.
  [ -L "$4" ] || synced=$synced$directory/kept/$number/${4##*/}$newline
}

prepare_one() { # write|remove NUMBER PATH BEFORE
  [ "$1" = write ] || { sync "$journal"; return; }
  new=${3%/*}/$beside
  { [ -d "$new" ] || (umask 077 && mkdir -p -- "${3%/*}" && mkdir -- "$new"); } && rm -rf -- "${new:?}/${3##*/}" &&
    cp -P --preserve=mode,ownership -T -- "$payload/$2/${3##*/}" "$new/${3##*/}" && if [ -L "$new/${3##*/}" ]; then sync "$journal"; else sync "$journal" "$new/${3##*/}"; fi
}
prepare_all() {
  synced=''
  clear && "${group}_folders" prepare_in && "$group" add_new || return 1
  # shellcheck disable=SC2086 # a list
  sync "$journal" $synced
}
# uutils' cp copies no folder with -T, and no link to a folder into a folder.
prepare_in() { # NUMBER FOLDER
  [ -e "$payload/$1" ] || return 0
  { [ -d "$2" ] || mkdir -p -- "$2"; } && [ ! -e "$2/$beside" ] &&
    cp -r --preserve=mode,ownership -- "$payload/$1" "$2/$beside"
}
add_new() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2" = write ] && [ ! -L "${4%/*}/$beside/${4##*/}" ]; then synced=$synced${4%/*}/$beside/${4##*/}$newline; fi
}

put_one() { # write|remove NUMBER PATH BEFORE
  new=${3%/*}/$beside/${3##*/}
  if [ "$1-$4" = remove-absent ]; then return 0; fi
  if [ "$1" = remove ]; then rm -f -- "$3"; elif [ -e "$new" ] || [ -L "$new" ]; then mv -fT -- "$new" "$3"; fi
}
put_all() {
  paths=
  "$group" add_removed
  # shellcheck disable=SC2086 # a list
  { [ ! "$paths" ] || rm -f -- $paths; } && "${group}_folders" put_in
}
add_removed() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2" = remove ] && [ "$5" != absent ]; then paths=$paths$4$newline; fi
}
put_in() { # NUMBER FOLDER
  number=$1 paths=''
  "$group" add_put
  # shellcheck disable=SC2086 # a list
  [ ! "$paths" ] || mv -f -t "$2" -- $paths
}
add_put() { # ID write|remove NUMBER PATH BEFORE
  if [ "$2-$3" = "write-$number" ]; then paths=$paths${4%/*}/$beside/${4##*/}$newline; fi
}

sync_one() { [ ! -d "${3%/*}" ] || sync "${3%/*}"; }
sync_folders() {
  clear
  # shellcheck disable=SC2086 # a list
  [ ! "$folders" ] || sync $folders
}
# Lists the folders, and takes away what a cut, or this group, has left beside the places.
clear() {
  folders='' left=''
  "${group}_folders" add_folder
  # shellcheck disable=SC2086 # a list
  [ ! "$left" ] || rm -rf -- $left
}
add_folder() { # NUMBER FOLDER
  [ ! -d "$2" ] || folders=$folders$2$newline
  [ ! -e "$2/$beside" ] || left=$left$2/$beside$newline
}
