# Which files and drop-ins systemd has for a unit, told from its folders alone: systemd tells nothing of a unit's drop-ins
# before it is loaded. Source: systemd.unit(5), the load path of the system manager and the order of drop-ins.
unit_folders=
for folder in /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient \
  /run/systemd/generator.early /etc/systemd/system /etc/systemd/system.attached /run/systemd/system \
  /run/systemd/system.attached /run/systemd/generator /usr/local/lib/systemd/system /lib/systemd/system \
  /usr/lib/systemd/system /run/systemd/generator.late; do
  [ ! -d "$folder" ] || unit_folders="$unit_folders $folder"
done

has_file() { # UNIT; its own, its template's, or a link
  case $1 in *@*.*) template=${1%%@*}@.${1##*.} ;; *) template=$1 ;; esac
  for folder in $unit_folders; do
    for file in "$folder/$1" "$folder/$template"; do
      if [ -e "$file" ] || [ -L "$file" ]; then return 0; fi
    done
  done
  return 1
}

# Of two drop-ins with one name the more special one counts, and a link to /dev/null is how people take one away.
drop_ins_on_disk() { # UNIT; sets found, a path after each line break
  found='' folder_names="$1.d" rest=${1%.service} instance='' names=/
  case $rest in *@*)
    instance=@${rest#*@} rest=${rest%%@*}
    folder_names="$folder_names $rest@.service.d"
    ;;
  esac
  # `a-b-c` is looked for as `a-b-` and `a-` too.
  while :; do
    case $rest in *-*) rest=${rest%-*} ;; *) break ;; esac
    folder_names="$folder_names ${instance:+$rest-$instance.service.d $rest-@.service.d }$rest-.service.d"
  done
  for folder_name in $folder_names service.d; do
    for folder in $unit_folders; do
      for path in "$folder/$folder_name"/*.conf; do
        case $names in *"/${path##*/}/"*) continue ;; esac
        if [ -e "$path" ]; then
          names="$names${path##*/}/"
          [ ! -f "$path" ] || found="$found
$path"
        fi
      done
    done
  done
}
