"""Steps on standard input, as JSON, carried out in one session of asyncssh."""
import asyncio, json, os, sys
import asyncssh

async def main():
    options = dict(port=int(os.environ["PORT"]), username="acme", client_keys=[os.environ["KEY"]], known_hosts=None, config=[])
    async with asyncssh.connect("127.0.0.1", **options) as connection, connection.start_sftp_client() as sftp:
        for step, a, b in json.load(sys.stdin):
            if step == "put":
                await sftp.put(a, b, preserve=True)
            elif step == "size":
                print((await sftp.stat(a)).size)
            elif step == "rename":
                await sftp.rename(a, b)
            elif step == "resume":
                done = (await sftp.stat(b)).size
                async with sftp.open(b, "r+b") as remote:
                    with open(a, "rb") as local:
                        local.seek(done)
                        await remote.write(local.read(), done)
            elif step == "get":
                await sftp.get(a, b)

asyncio.run(main())
