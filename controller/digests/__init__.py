"""From a tag to a digest, so that a revision is fixed in content as it is in name.

reference     (pure) an image's name taken apart
pull_secrets  (pure) user and password of a registry, from Secrets of type dockerconfigjson
reach         which hosts a registry may send us to
registry      asks a registry for the digest of a tag: HEAD, token, GET
resolver      looks up the images of new revisions in the background, and tries again

What a revision needs, and what it becomes, is `controller.reconcile.images`' matter.
"""
