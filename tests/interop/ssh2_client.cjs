// Steps on standard input, as JSON, carried out in one session of ssh2-sftp-client.
const fs = require('fs');
const Client = require('ssh2-sftp-client');

async function main() {
  const sftp = new Client();
  await sftp.connect({ host: '127.0.0.1', port: Number(process.env.PORT), username: 'acme', privateKey: fs.readFileSync(process.env.KEY) });
  for (const [step, a, b] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    if (step === 'put') await sftp.put(a, b);
    else if (step === 'size') console.log((await sftp.stat(a)).size);
    else if (step === 'rename') await sftp.rename(a, b);
    else if (step === 'resume') {
      const done = (await sftp.stat(b)).size;
      await sftp.put(fs.createReadStream(a, { start: done }), b, { writeStreamOptions: { flags: 'r+', start: done } });
    } else if (step === 'get') await sftp.fastGet(a, b);
  }
  await sftp.end();
}

main().catch((error) => { console.error(error.message); process.exit(1); });
