# What nginx answers in the names of this fleet's sites, and which files it reads. Before probe.sh and apply.sh.
# shellcheck disable=SC2154 # variables that are set before

# Lines `digest answered WORD` (the last one of the answer), `digest silent` or `digest refused`, where DIGEST_PORT is
# not empty; then `SITE PORT own|other|silent|refused|unasked` for each proof, or `SITE PORT answered WORD` where the answer
# that is expected is `-`. In the place of a site `:PORT` stands for the port of a service. A site is asked where its visitors do:
# at the instance's own address where one of its interfaces has it, for another server may listen on that alone; else
# at 127.0.0.2, for servers of others that listen on 127.0.0.1 alone (for its status, say) are none of our business.
ask_nginx() { # FLEET DIGEST_PORT ADDRESS PROOFS(`SITE HOST PORT ANSWER` a line)
  # shellcheck disable=SC2016 # bash expands these, not this shell
  timeout 5 bash -c '
    set -f
    fleet=$0 digest_port=$1 address=$2 proofs=$3
    get() { # ADDRESS PORT HOST PATH
      answer=
      { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || return 9
      printf "GET /.evenkeel/%s HTTP/1.0\r\nHost: %s\r\n\r\n" "$4" "$3" >&3 2>/dev/null
      IFS= read -r -d "" -n 4000 answer <&3
      exec 3>&-
      [ "$answer" ]
    }
    last_word() { state="answered ${!#}"; }
    get_tls() { # ADDRESS HOST
      command -v openssl >/dev/null || return 7
      answer=$(printf "GET /.evenkeel/site HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" |
        timeout 3 openssl s_client -quiet -connect "$1:443" -servername "$2" 2>/dev/null |
        { IFS= read -r -d "" -n 4000 answer; printf %s "$answer"; })
      [ "$answer" ]
    }
    if [ "$digest_port" ]; then
      get 127.0.0.1 "$digest_port" "evenkeel-$fleet" digest
      case $? in 0) set -- $answer; echo "digest answered ${!#}" ;; 9) echo "digest refused" ;; *) echo "digest silent" ;; esac
    fi
    at=127.0.0.2
    if [ "$address" ] && [ "$proofs" ]; then
      IFS= read -r -d "" routes 2>/dev/null </proc/net/fib_trie
      after=${routes#*"|-- $address"[[:space:]]}
      [ "$after" = "$routes" ] || case ${after#"${after%%[![:space:]]*}"} in "/32 host LOCAL"*) at=$address ;; esac
    fi
    # Words by four: a pipe or a text for a loop would cost a process or a file.
    set -- $proofs
    while [ "$#" -ge 4 ]; do
      site=$1 host=$2 port=$3 expected=$4
      shift 4
      if [ "$port" = 443 ]; then get_tls "$at" "$host"; else get "$at" "$port" "$host" site; fi
      case $?-$answer in
      7-*) state=unasked ;;
      9-*) state=refused ;;
      *"$expected"*) state=own ;;
      *-) state=silent ;;
      *) state=other ;;
      esac
      [ "$expected-$state" != --own ] || last_word $answer
      echo "$site $port $state"
    done' "$1" "$2" "$3" "$4" </dev/null
}

# What nginx would read if it started now: `broken WORDS` where it would not, `conflict NAME ADDRESS` of names that it
# ignores, `include PATTERN`, and `server FILE:LINE<tab>LISTEN,LISTEN<tab>NAME NAME` of each server in their order. Nothing
# else of the files leaves the host: they may hold secrets.
read_nginx() {
  timeout 10 nginx -T 2>&1 </dev/null | awk '
    function statement() {
      if (said ~ /^include /) { if (includes++ < 200) print substr(said, 1, 300) }
      else if (within && depth == within && said ~ /^listen /) listens = listens (listens == "" ? "" : ",") substr(said, 8)
      else if (within && depth == within && said ~ /^server_name /) names = names (names == "" ? "" : " ") substr(said, 13)
      said = ""
    }
    /^# configuration file .*:$/ { file = substr($0, 22, length($0) - 22); line = depth = within = 0; said = ""; next }
    file == "" {
      if ($0 ~ /\[(emerg|alert|crit)\] /) {
        why = substr($0, index($0, "]") + 2, 500)
        sub(/^[0-9]+#[0-9]+: /, "", why)
        print "broken " why
        broken = 1
      }
      else if (match($0, /conflicting server name "[^"]*" on [^ ,]*, ignored/)) {
        split(substr($0, RSTART, RLENGTH), part, "\"")
        split(part[3], of, /[ ,]+/)
        print "conflict " part[2] " " of[3]
      }
      next
    }
    {
      line++
      text = $0
      while (match(text, /"[^"]*"/) || match(text, /\047[^\047]*\047/)) {
        quoted = substr(text, RSTART + 1, RLENGTH - 2)
        gsub(/[;{}# \t]/, "?", quoted)
        text = substr(text, 1, RSTART - 1) quoted substr(text, RSTART + RLENGTH)
      }
      sub(/(^|[ \t;{}])#.*/, "", text)
      gsub(/\$\{[^}]*\}/, "$", text)
      gsub(/[;{}]/, " & ", text)
      count = split(text, word, /[ \t\r]+/)
      for (i = 1; i <= count; i++) {
        if (word[i] == "") continue
        if (word[i] == ";") statement()
        else if (word[i] == "{") {
          depth++
          if (said == "server" && !within) { within = depth; at = file ":" began; listens = names = "" }
          said = ""
        } else if (word[i] == "}") {
          if (within && depth == within) {
            if (servers++ < 1000) print "server " at "\t" substr(listens, 1, 300) "\t" substr(names, 1, 500)
            within = 0
          }
          depth--
          said = ""
        } else {
          if (said == "") began = line
          said = said (said == "" ? "" : " ") word[i]
        }
      }
    }
    END { if (file == "" && !broken) print "broken nginx -T does not tell which files it reads" }'
}
