LAYOUTS = {"slimpajama": {}, "the-stack": {}}
