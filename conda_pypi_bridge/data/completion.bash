
# What stands behind "conda pypi-bridge", "conda pypi-install" and "python -m conda_pypi_bridge", too. Whatever completed
# conda and python before goes on doing so for all else.

_conda_pypi_bridge_of_others() {
  if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = pypi-bridge ]; then
    COMP_WORDS=(conda-pypi-bridge "${COMP_WORDS[@]:2}")
    COMP_CWORD=$((COMP_CWORD - 1))
    _shtab_conda_pypi_bridge
  elif [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = pypi-install ]; then
    COMP_WORDS=(conda-pypi-bridge install "${COMP_WORDS[@]:2}")
    _shtab_conda_pypi_bridge
  elif [ "$COMP_CWORD" -gt 2 ] && [ "${COMP_WORDS[1]} ${COMP_WORDS[2]}" = "-m conda_pypi_bridge" ]; then
    COMP_WORDS=(conda-pypi-bridge "${COMP_WORDS[@]:3}")
    COMP_CWORD=$((COMP_CWORD - 2))
    _shtab_conda_pypi_bridge
  else
    local former="_conda_pypi_bridge_before_${1##*/}"
    [ -z "${!former:-}" ] || "${!former}" "$@"
  fi
}

_conda_pypi_bridge_begin() {
  local command former
  for command in conda python python3; do
    # bash-completion loads what it has for a command when that is completed first
    complete -p "$command" > /dev/null 2>&1 || ! declare -F _completion_loader > /dev/null ||
      _completion_loader "$command" > /dev/null 2>&1
    former=$(complete -p "$command" 2> /dev/null | sed -n 's/.*-F \([^ ]*\).*/\1/p')
    [ "$former" = _conda_pypi_bridge_of_others ] || eval "_conda_pypi_bridge_before_$command=\$former"
    complete -o bashdefault -o default -F _conda_pypi_bridge_of_others "$command"
  done
}
_conda_pypi_bridge_begin
