# Virtual environments of Python services, for the scripts that look at them and that make them. In each lies
# the file `made`: what kind of interpreter it was made with, and a digest over the names, owners, modes, sizes
# and times of all else. What Python compiles for itself (`__pycache__`) is no part of it.

# What kind an interpreter is, as in cpython-311: packages fit one kind. As nobody, for an interpreter may
# belong to somebody who is not to become root by it.
venv_kind() { # INTERPRETER
  timeout 5 setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs -- "$1" -I -S -c \
    'import sys; print(sys.implementation.cache_tag + sys.abiflags)' 2>&1 </dev/null
}

venv_digest() { # FOLDER
  cd "$1" && find . -name __pycache__ -prune -o -path ./made -o -type d -printf '%P d %m %U:%G\n' \
    -o -printf '%P %y %m %U:%G %s %T@ %l\n' | LC_ALL=C sort | sha256sum
}

# What the file `made` of a folder should hold, made with this KIND.
venv_made() { # FOLDER KIND
  sum=$(venv_digest "$1") && printf '%s %s\n' "$2" "${sum%% *}"
}
