# Makes the unit of the package of contrib/gomd.service.
1,/^$/c\
# gomd as a systemd service. Options of `twistd gomd` go into /etc/default/gomd: GOMD_OPTIONS=--name alpha\
# /usr/share/doc/gomd/docs/service.md says what the unit does and what can be changed.\

/^# \/opt\/gomd is where/d
s,/opt/gomd/bin:,,
s,/usr/bin/env twistd ,/usr/bin/twistd3 ,
s,contrib/,/usr/share/doc/gomd/examples/,
