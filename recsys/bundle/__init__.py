"""The bundle: everything that serving needs of one run, immutable and named by its content.

A bundle is a list of parts (`part.Part`); a part is one field, or a few that belong together. It
writes its files, reads them again, takes new items and forgets a user. `Bundle` loops over its parts
and names no file of theirs:

    Bundle.load            folder → parts
    Bundle.write_files     parts → folder
    Bundle.append_items    every part with the rows of new items      (recsys add-items)
    Bundle.drop_user       every part without the rows of a user      (recsys forget)

How a field is added:

1. Write a module in `recsys/bundle/parts/`: a frozen dataclass with the methods of `Part`, under
   `@registered`. It is found by itself; `segments.py` is a short example. `load` returns None for a
   bundle that was written without it, so that older bundles still load. What its files do not hold
   goes into bundle.json: `save` returns it, `load` is given it.
2. Give it a value where bundles are made: `more` in `recsys.fitting.fit.bundle_of`.
3. Read it by `bundle.parts.get(ItsClass)`.

Every part says for itself what becomes of new items and of a forgotten user: there is no default
that a part with rows of users could inherit by mistake. `files` seals a folder: manifest.json holds
the hash of every file, and the name of a bundle is a hash of what it answers from.
"""
