"""Steps on standard input, as JSON, carried out in one session of paramiko."""
import json, os, sys
import paramiko

client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(os.environ["PORT"]), "acme", key_filename=os.environ["KEY"], look_for_keys=False, allow_agent=False)
sftp = client.open_sftp()
for step, a, b in json.load(sys.stdin):
    if step == "put":
        # confirm: stats after the upload and compares sizes
        sftp.put(a, b, confirm=True)
    elif step == "size":
        print(sftp.stat(a).st_size)
    elif step == "rename":
        sftp.rename(a, b)
    elif step == "resume":
        done = sftp.stat(b).st_size
        with open(a, "rb") as local, sftp.open(b, "r+") as remote:
            local.seek(done)
            remote.seek(done)
            remote.set_pipelined(True)
            remote.write(local.read())
    elif step == "get":
        sftp.get(a, b)
client.close()
