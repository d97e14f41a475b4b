console.log(`post of ${process.env.STATE_who}, input ${process.env['INPUT_MY_NAME']} ${process.env.FROM_STEP ?? ''}`);
