
# What stands behind "conda pypi-bridge", "conda pypi-install" and "python -m conda_pypi_bridge", too.

complete -c conda -n '__fish_seen_subcommand_from pypi-bridge' -f \
  -a '(complete -C (string replace -r "^.*?pypi-bridge" conda-pypi-bridge -- (commandline -cp)))'
complete -c conda -n '__fish_seen_subcommand_from pypi-install' -f \
  -a '(complete -C (string replace -r "^.*?pypi-install" "conda-pypi-bridge install" -- (commandline -cp)))'
for command in python python3
  complete -c $command -n 'string match -q -- "* -m conda_pypi_bridge *" (commandline -cp)' -f \
    -a '(complete -C (string replace -r "^.*?-m conda_pypi_bridge" conda-pypi-bridge -- (commandline -cp)))'
end
