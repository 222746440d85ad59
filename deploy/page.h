#ifndef DEPLOY_PAGE_H
#define DEPLOY_PAGE_H

struct page;

#endif
