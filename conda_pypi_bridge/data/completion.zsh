
# What stands behind "conda pypi-bridge", "conda pypi-install" and "python -m conda_pypi_bridge", too. What zsh has for
# conda and python goes on completing all else.

_conda_pypi_bridge_of_others() {
  if [[ $service == conda-pypi-bridge ]]; then
    _shtab_conda_pypi_bridge "$@"
  elif (( CURRENT > 2 )) && [[ $words[2] == pypi-bridge ]]; then
    words=(conda-pypi-bridge "${(@)words[3,-1]}")
    (( CURRENT -= 1 ))
    _shtab_conda_pypi_bridge "$@"
  elif (( CURRENT > 2 )) && [[ $words[2] == pypi-install ]]; then
    words=(conda-pypi-bridge install "${(@)words[3,-1]}")
    _shtab_conda_pypi_bridge "$@"
  elif (( CURRENT > 3 )) && [[ "$words[2] $words[3]" == "-m conda_pypi_bridge" ]]; then
    words=(conda-pypi-bridge "${(@)words[4,-1]}")
    (( CURRENT -= 2 ))
    _shtab_conda_pypi_bridge "$@"
  else
    local other=_${service%3}
    if (( $+functions[$other] )) || autoload -Uz +X $other 2> /dev/null; then
      $other "$@"
    else
      _default "$@"
    fi
  fi
}

if [[ $zsh_eval_context[-1] == eval ]]; then
  compdef _conda_pypi_bridge_of_others conda-pypi-bridge conda python python3
else
  _conda_pypi_bridge_of_others "$@"
fi
