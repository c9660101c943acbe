# The signature of releases: whatever changes when somebody touches a file of one, and is told without
# reading it. Kept beside the listing once every byte was checked.
signature() { # DIRECTORY...
  find "$@" -mindepth 1 -printf '%p %y %m %U:%G %s %T@ %i %l\n' 2>&1
}
