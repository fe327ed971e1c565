#!/bin/sh
# Turns a minimal Debian into the hosts of the tests; run by the Dockerfile, and by chroot after debootstrap.
set -eu

# Passwords are known to the tests; the hosts live on a bridge that the tests made.
account() { useradd --create-home --shell /bin/bash "$1"; echo "$1:$2" | chpasswd; }
echo 'root:root-pass' | chpasswd
account deploy deploy-pass # sudo without a password
account admin admin-pass       # sudo with a password
account guest guest-pass       # no sudo at all
echo 'deploy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/deploy
echo 'admin ALL=(ALL) ALL' > /etc/sudoers.d/admin
chmod 0440 /etc/sudoers.d/deploy /etc/sudoers.d/admin

cat > /etc/ssh/sshd_config.d/tests.conf <<'SSHD'
PermitRootLogin yes
PasswordAuthentication yes
UseDNS no
MaxStartups 100:30:200
MaxSessions 100
SSHD

# Every host gets keys of its own at its first start.
rm -f /etc/ssh/ssh_host_*
mkdir -p /etc/systemd/system/ssh.service.d
cat > /etc/systemd/system/ssh.service.d/keys.conf <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
UNIT

systemctl enable ssh.service cron.service >/dev/null 2>&1
# Nothing of a host's own hardware or network is there to be managed.
systemctl mask systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service \
    systemd-timesyncd.service getty.target console-getty.service e2scrub_reap.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer >/dev/null 2>&1 || true
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /etc/machine-id /var/lib/dbus/machine-id
: > /etc/machine-id
