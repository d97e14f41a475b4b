const fs = require('fs');
const say = (file, line) => fs.appendFileSync(process.env[file], line + '\n');
console.log(`main ${process.env['INPUT_MY_NAME']} [${process.env['INPUT_KEBAB-CASE']}] [${process.env['INPUT_UNDECLARED'] ?? ''}] ${process.env.FROM_STEP ?? ''}`);
console.log([process.env.ACTIONS_RUNTIME_TOKEN, process.env.ACTIONS_RUNTIME_URL].filter(Boolean).length + ' services, in ' + process.cwd().replace(process.env.GITHUB_WORKSPACE, 'workspace'));
say('GITHUB_OUTPUT', 'out=from js');
say('GITHUB_ENV', 'FROM_JS=env');
say('GITHUB_STATE', 'who=' + process.env['INPUT_MY_NAME']);
