// A JavaScript action that does one thing with the real client libraries, named by its input `do`.
import * as fs from "node:fs";
import * as core from "@actions/core";
import * as cache from "@actions/cache";
import * as glob from "@actions/glob";
import * as jose from "jose";
import { DefaultArtifactClient } from "@actions/artifact";

const write = (path, text) => { fs.mkdirSync(path.split("/").slice(0, -1).join("/") || ".", { recursive: true }); fs.writeFileSync(path, text); };
const check = (what, right) => { if (!right) throw new Error(`${what} is not so`); core.info(`checked: ${what}`); };
const artifacts = new DefaultArtifactClient();
const big = "0123456789abcdef".repeat(1024 * 1024);

const tasks = {
  async upload() {
    write("out/a.txt", "one");
    write("out/sub/big.txt", big);
    const made = await artifacts.uploadArtifact("result", ["out/a.txt", "out/sub/big.txt"], "out");
    check("the artifact has an id and a digest", made.id > 0 && made.digest.length === 64);
    core.setOutput("id", made.id);
    let again = "no error";
    try { await artifacts.uploadArtifact("result", ["out/a.txt"], "out"); } catch (error) { again = error.message; }
    check("a name is taken once", again.includes("already exists"));
  },
  async download() {
    const { artifacts: listed } = await artifacts.listArtifacts();
    check("both artifacts are listed", listed.map((it) => it.name).sort().join() === "builtin,result");
    const { artifact } = await artifacts.getArtifact("result");
    await artifacts.downloadArtifact(artifact.id, { path: "got" });
    check("the files are what was uploaded", fs.readFileSync("got/a.txt", "utf8") === "one" && fs.readFileSync("got/sub/big.txt", "utf8") === big);
    const builtin = listed.find((it) => it.name === "builtin");
    await artifacts.downloadArtifact(builtin.id, { path: "other" });
    check("what the built-in action uploaded is there too", fs.readFileSync("other/c.txt", "utf8").trim() === "three");
    await artifacts.deleteArtifact("builtin");
    check("one that is deleted is gone", (await artifacts.listArtifacts()).artifacts.length === 1);
  },
  async save() {
    write("deps/x.bin", big);
    check("the cache service is there", cache.isFeatureAvailable());
    check("nothing is restored at first", (await cache.restoreCache(["deps"], "deps-1")) === undefined);
    check("the cache is saved", (await cache.saveCache(["deps"], "deps-1")) > 0);
  },
  async restore() {
    check("the exact key is found", (await cache.restoreCache(["deps"], "deps-1")) === "deps-1");
    check("the files are back", fs.readFileSync("deps/x.bin", "utf8") === big);
    check("a prefix is found", (await cache.restoreCache(["deps"], "deps-2", ["deps-"])) === "deps-1");
    check("other paths are another cache", (await cache.restoreCache(["other"], "deps-1")) === undefined);
    check("it is saved once", (await cache.saveCache(["deps"], "deps-1")) === -1);
  },
  async identity() {
    const token = await core.getIDToken("sts.example.com");
    const read = (name) => JSON.parse(fs.readFileSync(`${process.env.ISSUED}/.well-known/${name}`, "utf8"));
    const { issuer, id_token_signing_alg_values_supported: algorithms } = read("openid-configuration");
    const keys = jose.createLocalJWKSet(read("jwks"));
    const { payload } = await jose.jwtVerify(token, keys, { issuer, audience: "sts.example.com", algorithms });
    check("the token is the issuer's and says who the job is", payload.sub === `repo:${process.env.GITHUB_REPOSITORY}:ref:refs/heads/main`);
    check("the key is known by its thumbprint", jose.decodeProtectedHeader(token).kid === await jose.calculateJwkThumbprint(read("jwks").keys[0]));
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    check("a token of somebody else is none", await jose.jwtVerify(forged, keys).then(() => false, () => true));
    core.info(`the id token is ${token}`);
  },
  async rest() {
    core.setSecret("a-secret-of-the-action");
    core.info("this is a-secret-of-the-action");
    core.info(`the token is ${process.env.ACTIONS_RUNTIME_TOKEN}`);
    core.exportVariable("FROM_CORE", "exported\nin two lines");
    core.addPath("/from/core");
    await core.summary.addHeading("From core").write();
    const found = [];
    for await (const file of (await glob.create("src/**\n!src/skip/**")).globGenerator()) found.push(file);
    check("the globber finds files", found.some((file) => file.endsWith("src/a.txt")) && !found.some((file) => file.includes("b.txt")));
    core.setOutput("hash", await glob.hashFiles("src/*.txt"));
  },
};

try {
  await tasks[core.getInput("do", { required: true })]();
} catch (error) {
  core.setFailed(error);
}
